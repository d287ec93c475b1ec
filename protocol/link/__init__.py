"""Both ends of a link: the rules of the conversation, and its theory of operation.

```
     client                                            pump
 open -> CLIENT_HELLO ------------------------------>  half-open slot (5 s), within the energy budget
         checks peer_handle  <---------- PUMP_HELLO
         CLIENT_PROOF ------------------------------>  checks the proof, back-off, who may replace whom
 SessionOpened  <------------------------ PUMP_PROOF   SessionOpened
 request -> REQ ctr n (sealed) --------------------->  tag, then ctr: older drop, same repeat, newer Request
 Response, Refusal  <----- RSP or ERR ref n (sealed)   respond, refuse; the ciphertext is kept for repeats
 ... or 0.6, 1.2, 2.4 s with nothing: Unknown
```

Both ends are values without a clock: bytes and the time of the line go in, events, bytes and a deadline
come out.

    pump.feed(client.take_output(), line_ms)
    while (event := pump.next_event(line_ms)) is not None:
        if isinstance(event, Request):
            pump.respond(answer_to(event))
    client.feed(pump.take_output(), line_ms)

Three things keep a command from running twice here: a request runs only if its counter is newer than every
one before it; a repeat is answered from the cache, byte for byte; and a new session has new keys, so that
no frame of an old one opens. What a lost answer meant is asked of the command ledger (SPEC 9), never
guessed here.

`connection` holds what both ends share, `pump_end` and `client_end` their rules, `handshake_rules` and
`budget` the way into a session, `session` its keys, `events` what comes out.
"""
