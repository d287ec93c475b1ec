-- Dissector of the wire of pumpbench for Wireshark and tshark, version 3.6 and later.
-- Made by `pumpbench wireshark --print` from the declarations of the messages: make it anew instead of changing it.
-- Frames are `00 COBS(header, payload, tag, CRC-32C) 00`, secured ones by AES-128-CCM-8 [SPEC 2, 3, 4.4].

--@DECLARATIONS@

--@ARITHMETIC@

-- ---- what the dissector has to show ----------------------------------------------------------------------------

local pumpbench = Proto("pumpbench", "Implanted drug pump, wire of pumpbench")
local registered = {}

local function registers(field)
    registered[#registered + 1] = field
    return field
end

local KIND_NAMES = { [0] = "HS", [1] = "REQ", [2] = "RSP", [3] = "EVT", [4] = "ERR" }
local HANDSHAKE, REQUEST, RESPONSE, EVENT, REFUSAL = 0, 1, 2, 3, 4
local TO_PUMP, FROM_PUMP = 0, 1
local SHOWN = {
    direction = registers(ProtoField.uint8("pumpbench.direction", "direction", base.DEC, { [0] = "to the pump", "from the pump" })),
    version = registers(ProtoField.uint8("pumpbench.version", "version", base.DEC, nil, 0xF0)),
    kind = registers(ProtoField.uint8("pumpbench.kind", "kind", base.DEC, KINDS, 0x0F)),
    flags = registers(ProtoField.uint8("pumpbench.flags", "flags", base.HEX)),
    secured = registers(ProtoField.bool("pumpbench.flags.secured", "SECURED", 8, nil, 0x01)),
    opcode = registers(ProtoField.uint8("pumpbench.opcode", "opcode", base.HEX, OPCODES)),
    handshake = registers(ProtoField.uint8("pumpbench.handshake", "opcode", base.HEX, HANDSHAKES)),
    plen = registers(ProtoField.uint8("pumpbench.plen", "plen", base.UNIT_STRING, { " bytes", " bytes" })),
    sid = registers(ProtoField.uint16("pumpbench.sid", "sid", base.HEX_DEC)),
    ctr = registers(ProtoField.uint32("pumpbench.ctr", "ctr")),
    ref = registers(ProtoField.uint16("pumpbench.ref", "ref")),
    sealed = registers(ProtoField.bytes("pumpbench.sealed", "sealed payload")),
    payload = registers(ProtoField.bytes("pumpbench.payload", "payload")),
    tag = registers(ProtoField.bytes("pumpbench.tag", "tag")),
    crc = registers(ProtoField.uint32("pumpbench.crc", "crc", base.HEX)),
    request_in = registers(ProtoField.framenum("pumpbench.request_in", "request in", base.NONE, frametype.REQUEST)),
    response_in = registers(ProtoField.framenum("pumpbench.response_in", "response in", base.NONE, frametype.RESPONSE)),
    repeats = registers(ProtoField.framenum("pumpbench.repeats", "repeats", base.NONE, frametype.RETRANS_PREV)),
    time = registers(ProtoField.relative_time("pumpbench.time", "time since request")),
    junk = registers(ProtoField.bytes("pumpbench.junk", "no frame")),
    reserved = registers(ProtoField.bytes("pumpbench.reserved", "reserved")),
    rest = registers(ProtoField.bytes("pumpbench.rest", "rest")),
    mark = registers(ProtoField.string("pumpbench.mark", "mark")),
}

local experts = {}
local function expert_of(name, text, group, severity)
    local found = ProtoExpert.new("pumpbench.expert." .. name, text, group, severity)
    experts[#experts + 1] = found
    return found
end
local group, severity = expert.group, expert.severity
local DECRYPTION = group.DECRYPTION or group.SECURITY
local EXPERT = {
    junk = expert_of("junk", "no frame", group.MALFORMED, severity.ERROR),
    half = expert_of("half", "no end: half a frame, or noise", group.MALFORMED, severity.WARN),
    lost = expert_of("lost", "the capture does not have all of these bytes", group.MALFORMED, severity.WARN),
    no_key = expert_of("no_key", "no key", DECRYPTION, severity.NOTE),
    bad_tag = expert_of("bad_tag", "the tag does not match", DECRYPTION, severity.ERROR),
    unchecked = expert_of("unchecked", "the tag was not checked", DECRYPTION, severity.NOTE),
    keys = expert_of("keys", "the session keys cannot be read", DECRYPTION, severity.WARN),
    opcode = expert_of("opcode", "unknown opcode", group.UNDECODED, severity.WARN),
    value = expert_of("value", "unknown value", group.PROTOCOL, severity.WARN),
    reserved = expert_of("reserved", "reserved, and not 0", group.PROTOCOL, severity.WARN),
    count = expert_of("count", "more than there may be", group.MALFORMED, severity.ERROR),
    cut = expert_of("cut", "the payload ends within a field", group.MALFORMED, severity.ERROR),
    rest = expert_of("rest", "more than this version has", group.PROTOCOL, severity.NOTE),
    check = expert_of("check", "the check of the entry does not match", group.CHECKSUM, severity.ERROR),
    refused = expert_of("refused", "refused", group.RESPONSE_CODE, severity.NOTE),
    hint = expert_of("hint", "unsecured: a hint, which anybody can forge", group.SECURITY, severity.NOTE),
    repeats = expert_of("repeats", "sent again", group.SEQUENCE, severity.NOTE),
}

--@MESSAGES@

-- ---- session keys ----------------------------------------------------------------------------------------------

pumpbench.prefs.keys = Pref.string(
    "Session keys", "", "A file, or text: lines (or parts between semicolons) `session SID KEY`, as `pumpbench wireshark --keys RECORDING` prints them"
)
pumpbench.prefs.check_tags = Pref.bool("Check the tags of secured frames", true, "Without it, opening a recording is faster, and a changed byte is not seen")

local keys_by_sid, keys_trouble, keys_read = {}, nil, nil

local function add_keys(text)
    local line_number = 0
    for line in text:gmatch("[^\r\n;]+") do
        line_number = line_number + 1
        local words = line:gsub("#.*", "")
        local sid, digits = words:match("^%s*session%s+(%d+)%s+(%x+)%s*$")
        sid = tonumber(sid)
        if sid and sid <= 65535 and #digits == 32 then
            local key = digits:gsub("%x%x", function(two) return char(tonumber(two, 16)) end)
            keys_by_sid[sid] = keys_by_sid[sid] or {}
            table.insert(keys_by_sid[sid], round_keys(key))
        elseif words:find("%S") then
            keys_trouble = format("line %d of the session keys is not `session SID KEY`, with a key of 32 hex digits", line_number)
        end
    end
end

local function read_keys()
    local named = pumpbench.prefs.keys
    if named == keys_read then return end
    keys_by_sid, keys_trouble, keys_read = {}, nil, named
    if named:find("^%s*session%s") then
        add_keys(named)
    elseif named:find("%S") then
        local file = io.open(named, "r")
        local text = file and file:read("*a") -- nil of a directory
        if file then file:close() end
        if text then add_keys(text) else keys_trouble = "the file of the session keys cannot be read: " .. named end
    end
end

-- The payload of a secured frame and whether its tag fits (nil: not looked at); false where no key opens it.
local function opened(frame, raw)
    local keys = keys_by_sid[frame.sid]
    if not keys then return false end
    local direction = frame.kind == REQUEST and TO_PUMP or FROM_PUMP
    local alone = #keys == 1 and not pumpbench.prefs.check_tags
    for i, key in ipairs(keys) do
        local plain = deciphered(key, direction, frame.sid, frame.ctr, raw, 12, frame.plen)
        if alone then return plain, nil end
        if tag_fits(key, direction, frame.sid, frame.ctr, raw, plain, 12 + frame.plen) then
            if i > 1 then table.insert(keys, 1, table.remove(keys, i)) end
            return plain, true
        end
    end
    return false, false
end

-- ---- which answer belongs to which request ---------------------------------------------------------------------

local lines = {} -- by stream, then by what is asked or seen, as a number: of which frame, and when
-- By frame, since a dissector is called again for the same one.
local answer_of, request_of, elapsed_s, first_of = {}, {}, {}, {}

local HELLO = -1 -- any sid: a CLIENT_HELLO has none yet
local FRAMES_IN_A_PACKET = 256

-- What a frame asks or answers, as a number; nil where it does neither.
local function question(frame)
    if frame.kind == REQUEST then return frame.sid * 2 ^ 24 + frame.opcode * 2 ^ 16 + frame.ctr % 65536, true end
    if frame.kind == RESPONSE or frame.kind == REFUSAL then
        return frame.sid * 2 ^ 24 + frame.opcode * 2 ^ 16 + frame.ref, false
    end
    if frame.kind ~= HANDSHAKE then return nil end
    local name = HANDSHAKES[frame.opcode] or ""
    if name:find("HELLO", 1, true) then return HELLO, name == "CLIENT_HELLO" end
    if name:find("PROOF", 1, true) then return HELLO - 1 - frame.sid, name == "CLIENT_PROOF" end
    return frame.sid == 0 and HELLO or HELLO - 1 - frame.sid, false
end

-- A frame that is sent again has the same bytes, and so the same CRC. A session that begins anew may have a number that
-- was there before, and in clear its requests may be the same to the byte.
local function tie(stream, frame, crc, id, pinfo)
    local line = lines[stream]
    if not line then
        line = { asked = {}, asked_at = {}, sessions = {} }
        lines[stream] = line
    end
    local session = line.sessions[frame.sid]
    local place = frame.kind * 2 ^ 32 + (frame.kind == HANDSHAKE and frame.opcode or frame.ctr)
    local again = session and session.crc[place] == crc and not (frame.kind == REFUSAL and frame.ctr == 0)
    if not session or frame.kind == HANDSHAKE and HANDSHAKES[frame.opcode] == "PUMP_HELLO" and not again then
        session = { crc = {}, seen = {} }
        line.sessions[frame.sid] = session
    end
    if again then
        first_of[id] = session.seen[place]
    else
        session.crc[place], session.seen[place] = crc, pinfo.number
    end
    local key, asks = question(frame)
    if asks and not (again and line.asked[key]) then
        line.asked[key], line.asked_at[key] = id, pinfo.rel_ts
    elseif key and not asks and line.asked[key] then
        local request = line.asked[key]
        request_of[id], elapsed_s[id] = math.floor(request / FRAMES_IN_A_PACKET), pinfo.rel_ts - line.asked_at[key]
        if not answer_of[request] then answer_of[request] = pinfo.number end
    end
end

local function show_generated(tree, field, value)
    if visible or tree:referenced(field) then return tree:add(field, value):set_generated() end
    return tree
end

local function show_ties(tree, id)
    local request, response, first = request_of[id], answer_of[id], first_of[id]
    if request then
        show_generated(tree, SHOWN.request_in, request)
        local whole = math.floor(elapsed_s[id])
        local ns = math.min(999999999, math.floor((elapsed_s[id] - whole) * 1e9 + 0.5))
        if visible or tree:referenced(SHOWN.time) then
            tree:add(SHOWN.time, NSTime.new(whole, ns)):set_generated()
        end
    end
    if response then show_generated(tree, SHOWN.response_in, response) end
    if first then
        local item = show_generated(tree, SHOWN.repeats, first)
        item:add_proto_expert_info(EXPERT.repeats, "sent again: the same bytes as in frame " .. first)
    end
end

-- ---- frames ----------------------------------------------------------------------------------------------------

local HEADER_BYTES, TAG_BYTES, CRC_BYTES = 12, 8, 4

-- The header of decoded bytes, or why they are no frame; the order is that of `protocol.wire.frame`.
local function parsed(raw)
    local length = #raw
    if length < HEADER_BYTES + CRC_BYTES then return nil, FAULTS.SHORT end
    if crc32c(raw, length - CRC_BYTES) ~= number_at(raw, length - CRC_BYTES, CRC_BYTES) then return nil, FAULTS.CRC end
    local vt, flags, opcode, plen = byte(raw, 1, 4)
    local frame = {
        kind = vt % 16, flags = flags, opcode = opcode, plen = plen,
        sid = number_at(raw, 4, 2), ctr = number_at(raw, 6, 4), ref = number_at(raw, 10, 2),
    }
    if vt - vt % 16 ~= VERSION * 16 then return nil, FAULTS.VERSION end
    if not KINDS[frame.kind] then return nil, FAULTS.KIND end
    if flags > 1 or frame.kind == HANDSHAKE and flags + frame.ctr + frame.ref > 0 then return nil, FAULTS.RESERVED end
    local expected = HEADER_BYTES + plen + (flags == 1 and TAG_BYTES or 0) + CRC_BYTES
    if length ~= expected or plen > PAYLOAD_MAX then return nil, FAULTS.LENGTH end
    return frame
end

local function is_to_pump(frame)
    if frame.kind == HANDSHAKE then return (HANDSHAKES[frame.opcode] or ""):find("^CLIENT") ~= nil end
    return frame.kind == REQUEST
end

local function name_of(frame)
    if frame.kind == HANDSHAKE then return HANDSHAKES[frame.opcode] or format("opcode 0x%02X", frame.opcode) end
    return OPCODES[frame.opcode] or format("opcode 0x%02X", frame.opcode)
end

local function show_header(tree, source, frame)
    show_generated(tree, SHOWN.direction, is_to_pump(frame) and TO_PUMP or FROM_PUMP)
    add(tree, SHOWN.version, source, 0, 1)
    add(tree, SHOWN.kind, source, 0, 1)
    add(add(tree, SHOWN.flags, source, 1, 1), SHOWN.secured, source, 1, 1)
    add(tree, frame.kind == HANDSHAKE and SHOWN.handshake or SHOWN.opcode, source, 2, 1)
    add(tree, SHOWN.plen, source, 3, 1)
    add(tree, SHOWN.sid, source, 4, 2)
    add(tree, SHOWN.ctr, source, 6, 4)
    add(tree, SHOWN.ref, source, 10, 2)
end

-- The payload of a secured frame; returns what the line says of it.
local function show_sealed(tree, frame, source)
    local plain, fits = opened(frame, source.raw)
    local sealed = frame.plen > 0 and add(tree, SHOWN.sealed, source, HEADER_BYTES, frame.plen) or tree
    local tag = add(tree, SHOWN.tag, source, HEADER_BYTES + frame.plen, TAG_BYTES)
    if plain then
        if fits == nil then
            tag:add_proto_expert_info(
                EXPERT.unchecked,
                "the tag was not checked (preference pumpbench.check_tags): the payload may have been changed"
            )
        elseif visible then
            tag:append_text(" (matches)")
        end
        return show_message(tree, frame, source_of(plain, "opened payload"), 0, frame.plen)
    end
    if keys_trouble then sealed:add_proto_expert_info(EXPERT.keys, keys_trouble) end
    if fits == false then
        local why = format("no key of session %d fits this tag: another session's key, or changed bytes", frame.sid)
        tag:add_proto_expert_info(EXPERT.bad_tag, why)
        return "[sealed: the tag fits no key]"
    end
    sealed:add_proto_expert_info(
        EXPERT.no_key, format("no key of session %d: see the preference pumpbench.keys", frame.sid)
    )
    return format("[sealed: no key of session %d]", frame.sid)
end

-- Bytes without a meaning; returns what the line says of them.
local function show_junk(tree, tvb, at, bytes, expert_info, why)
    local range = tvb:range(at, bytes)
    local part = tree:add(pumpbench, range, format("pumpbench, no frame: %d bytes", bytes))
    part:add(SHOWN.junk, range):add_proto_expert_info(expert_info, "no frame: " .. why)
    return format("NO FRAME, %d bytes: %s", bytes, why)
end

-- Bytes that stood between two delimiters; returns what the line says of them, and whether they go to the pump.
local function show_piece(tree, tvb, at, encoded, pinfo, id, stream)
    local raw = #encoded <= RECEIVE_LIMIT and uncobs(encoded)
    local frame, fault
    if raw then
        frame, fault = parsed(raw)
    else
        fault = #encoded > RECEIVE_LIMIT and FAULTS.OVERSIZE or FAULTS.COBS
    end
    if not frame then return show_junk(tree, tvb, at, #encoded, EXPERT.junk, fault) end
    if not pinfo.visited then tie(stream, frame, word_at(raw, #raw - CRC_BYTES), id, pinfo) end
    local source, title = source_of(raw, "frame"), KIND_NAMES[frame.kind] .. " " .. name_of(frame)
    local part = tree:add(pumpbench, tvb:range(at, #encoded), "pumpbench, " .. title)
    show_header(part, source, frame)
    local said
    if frame.flags == 1 then
        said = show_sealed(part, frame, source)
    else
        said = show_message(part, frame, source, HEADER_BYTES, HEADER_BYTES + frame.plen)
    end
    local crc = add(part, SHOWN.crc, source, #raw - CRC_BYTES, CRC_BYTES)
    if visible then crc:append_text(" (matches)") end
    show_ties(part, id)
    local number = ""
    if frame.kind == REQUEST then number = format(" #%.0f", frame.ctr) end
    if frame.kind == RESPONSE or frame.kind == REFUSAL then number = format(" to #%d", frame.ref) end
    local again = first_of[id] and " [again]" or ""
    return title .. number .. again .. (said ~= "" and ": " .. said or ""), is_to_pump(frame)
end

-- A packet without bytes: a mark of the bench, whose words are the packet's comment.
local comment_of = Field.new("frame.comment")

local function show_mark(tree, pinfo)
    local comment = comment_of()
    local text = comment and tostring(comment) or ""
    tree:add(pumpbench, "pumpbench, mark"):add(SHOWN.mark, text)
    pinfo.cols.info = "-- " .. (text:match('^event: {.*"text": "(.*)"}$') or text) -- of an event its words alone
end

-- Both ends of a TCP stream, the same for both ways; "" where packets are those of a recording.
local function stream_of(pinfo)
    if pinfo.can_desegment == 0 then return "" end
    local from, to = tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
    return from < to and from .. " " .. to or to .. " " .. from
end

-- What lies in a packet: frames, bytes that are none, and the half of a frame whose rest comes in the next segment.
local function show_packet(tree, tvb, pinfo, stream)
    local raw, length, at, index, said, to_pump = tvb:raw(), tvb:len(), 1, 0, {}, nil
    local whole = tvb:reported_len() == length
    while at <= length do
        local first = find(raw, "[^%z]", at)
        if not first then break end
        local behind = find(raw, "\0", first, true)
        if not behind and stream ~= "" and length - first < RECEIVE_LIMIT then
            pinfo.desegment_offset, pinfo.desegment_len = first - 1, DESEGMENT_ONE_MORE_SEGMENT
            break
        end
        local id = pinfo.number * FRAMES_IN_A_PACKET + index
        index = index + 1
        if behind then
            local encoded = sub(raw, first, behind - 1)
            local line, goes_to_pump = show_piece(tree, tvb, first - 1, encoded, pinfo, id, stream)
            said[index] = line
            if goes_to_pump ~= nil then to_pump = goes_to_pump end
        else
            local why = whole and "no end: half a frame, or noise" or "the capture does not have all of it"
            said[index] = show_junk(tree, tvb, first - 1, length - first + 1, whole and EXPERT.half or EXPERT.lost, why)
            break
        end
        at = behind + 1
    end
    return said, to_pump
end

function pumpbench.dissector(tvb, pinfo, tree)
    local length = tvb:len()
    visible = tree.visible
    pinfo.cols.protocol = "pumpbench"
    if length == 0 then
        show_mark(tree, pinfo)
        return 0
    end
    read_keys()
    local stream = stream_of(pinfo)
    local said, to_pump = show_packet(tree, tvb, pinfo, stream)
    if #said == 0 and pinfo.desegment_len == 0 then
        tree:add(pumpbench, tvb:range(0), format("pumpbench, %d delimiters", length))
        said[1] = format("delimiters, %d bytes", length)
    end
    if #said > 0 then pinfo.cols.info = concat(said, " | ") end
    if to_pump ~= nil and stream == "" then
        pinfo.cols.src = to_pump and "programmer" or "pump"
        pinfo.cols.dst = to_pump and "pump" or "programmer"
    end
    return length
end

function pumpbench.init()
    lines, answer_of, request_of, elapsed_s, first_of = {}, {}, {}, {}, {}
    keys_read = nil
end

function pumpbench.prefs_changed() keys_read = nil end

pumpbench.fields = registered
pumpbench.experts = experts
DissectorTable.get("wtap_encap"):add((wtap_encaps or wtap).USER0, pumpbench)
for _, name in ipairs({ "tcp.port", "rtacser.data" }) do
    local found, decode_as = pcall(DissectorTable.get, name)
    if found and decode_as then decode_as:add_for_decode_as(pumpbench) end
end
