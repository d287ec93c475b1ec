-- Numbers, checks, COBS and AES-128-CCM in plain Lua: what frames are made of [SPEC 2, 3, 4.4].

local byte, char, concat, find, format, rep, sub =
    string.byte, string.char, table.concat, string.find, string.format, string.rep, string.sub

-- Lua 5.2 has bit32; from 5.3 on there are operators, which 5.2 cannot even parse.
local bxor = bit32 and bit32.bxor
    or load("return function(a, b, c, d, e) return a ~ b ~ (c or 0) ~ (d or 0) ~ (e or 0) end")()
local band = bit32 and bit32.band or load("return function(a, b) return a & b end")()

-- ---- numbers and checks ----------------------------------------------------------------------------------------


-- `at` counts from 0; all numbers are little endian.
local function word_at(raw, at)
    local a, b, c, d = byte(raw, at + 1, at + 4)
    return a + b * 0x100 + c * 0x10000 + d * 0x1000000
end

local function number_at(raw, at, bytes, signed)
    local value
    if bytes == 4 then
        value = word_at(raw, at)
    elseif bytes == 1 then
        value = byte(raw, at + 1)
    elseif bytes == 2 then
        local low, high = byte(raw, at + 1, at + 2)
        value = low + high * 0x100
    else
        value = word_at(raw, at) + word_at(raw, at + 4) * 2 ^ 32 -- no integer of 5.3, which would wrap
    end
    if signed and value >= 2 ^ (8 * bytes - 1) then return value - 2 ^ (8 * bytes) end
    return value
end

local CRC32C, CRC32C_1, CRC32C_2, CRC32C_3, CRC16 = {}, {}, {}, {}, {}
for n = 0, 255 do
    local c = n
    for _ = 1, 8 do
        local low = c % 2
        c = (c - low) / 2
        if low == 1 then c = bxor(c, 0x82F63B78) end
    end
    CRC32C[n] = c
    c = n * 256
    for _ = 1, 8 do
        c = c * 2
        if c >= 65536 then c = bxor(c - 65536, 0x1021) end
    end
    CRC16[n] = c
end

for n = 0, 255 do -- of a byte with one, two, three zeros behind it
    local c = CRC32C[n]
    for _, longer in ipairs({ CRC32C_1, CRC32C_2, CRC32C_3 }) do
        c = bxor(CRC32C[c % 256], (c - c % 256) / 256)
        longer[n] = c
    end
end

local function crc32c(raw, last)
    local crc, whole = 0xFFFFFFFF, last - last % 4
    for at = 0, whole - 4, 4 do
        local a = bxor(crc, word_at(raw, at))
        local b = a % 256
        a = (a - b) / 256
        local c = a % 256
        a = (a - c) / 256
        local d = a % 256
        crc = bxor(CRC32C_3[b], CRC32C_2[c], CRC32C_1[d], CRC32C[(a - d) / 256])
    end
    for i = whole + 1, last do
        local low = crc % 256
        crc = bxor(CRC32C[bxor(low, byte(raw, i))], (crc - low) / 256)
    end
    return bxor(crc, 0xFFFFFFFF)
end

local function crc16_ccitt_false(raw, at, bytes)
    local crc = 0xFFFF
    for i = at + 1, at + bytes do
        local low = crc % 256
        crc = bxor(low * 256, CRC16[bxor((crc - low) / 256, byte(raw, i))])
    end
    return crc
end

local function uncobs(encoded) -- nil where a code byte points beyond the end
    local parts, n, at, length = {}, 0, 1, #encoded
    while at <= length do
        local code = byte(encoded, at)
        local behind = at + code
        if behind > length + 1 then return nil end
        n = n + 1
        parts[n] = sub(encoded, at + 1, behind - 1)
        if code < 255 and behind <= length then
            n = n + 1
            parts[n] = "\0"
        end
        at = behind
    end
    return concat(parts)
end

-- ---- AES-128-CCM with a tag of 8 bytes (RFC 3610), words little endian -----------------------------------------

local SBOX, T0, T1, T2, T3 = {}, {}, {}, {}, {}
do
    local function doubled(a)
        a = a * 2
        return a > 255 and bxor(a, 0x11B) or a
    end
    local power, log, x = {}, {}, 1
    for i = 0, 254 do
        power[i], log[x] = x, i
        x = bxor(x, doubled(x))
    end
    for a = 0, 255 do
        local turned = a == 0 and 0 or power[(255 - log[a]) % 255]
        local s = bxor(turned, 0x63)
        for _ = 1, 4 do
            turned = turned * 2
            if turned > 255 then turned = turned - 255 end
            s = bxor(s, turned)
        end
        local s2 = doubled(s)
        local s3 = bxor(s2, s)
        SBOX[a] = s
        T0[a] = s2 + s * 0x100 + s * 0x10000 + s3 * 0x1000000
        T1[a] = s3 + s2 * 0x100 + s * 0x10000 + s * 0x1000000
        T2[a] = s + s3 * 0x100 + s2 * 0x10000 + s * 0x1000000
        T3[a] = s + s * 0x100 + s3 * 0x10000 + s2 * 0x1000000
    end
end

local function four(word)
    local a = word % 256
    word = (word - a) / 256
    local b = word % 256
    word = (word - b) / 256
    local c = word % 256
    return a, b, c, (word - c) / 256
end

local function round_keys(key)
    local w, constant = {}, 1
    for i = 0, 3 do w[i] = word_at(key, 4 * i) end
    for i = 4, 43 do
        local turned = w[i - 1]
        if i % 4 == 0 then
            local a, b, c, d = four(turned)
            turned = bxor(SBOX[b], constant) + SBOX[c] * 0x100 + SBOX[d] * 0x10000 + SBOX[a] * 0x1000000
            constant = constant * 2
            if constant > 255 then constant = bxor(constant, 0x11B) end
        end
        w[i] = bxor(w[i - 4], turned)
    end
    return w
end

-- `four` written out: calls would double the time of a block, of which a frame has a dozen.
local function encrypted(w, a, b, c, d)
    a, b, c, d = bxor(a, w[0]), bxor(b, w[1]), bxor(c, w[2]), bxor(d, w[3])
    local a0, a1, a2, b0, b1, b2, c0, c1, c2, d0, d1, d2
    for r = 4, 40, 4 do
        a0 = a % 256; a = (a - a0) / 256; a1 = a % 256; a = (a - a1) / 256; a2 = a % 256; a = (a - a2) / 256
        b0 = b % 256; b = (b - b0) / 256; b1 = b % 256; b = (b - b1) / 256; b2 = b % 256; b = (b - b2) / 256
        c0 = c % 256; c = (c - c0) / 256; c1 = c % 256; c = (c - c1) / 256; c2 = c % 256; c = (c - c2) / 256
        d0 = d % 256; d = (d - d0) / 256; d1 = d % 256; d = (d - d1) / 256; d2 = d % 256; d = (d - d2) / 256
        if r == 40 then break end
        a, b, c, d = bxor(T0[a0], T1[b1], T2[c2], T3[d], w[r]), bxor(T0[b0], T1[c1], T2[d2], T3[a], w[r + 1]),
            bxor(T0[c0], T1[d1], T2[a2], T3[b], w[r + 2]), bxor(T0[d0], T1[a1], T2[b2], T3[c], w[r + 3])
    end
    return bxor(SBOX[a0] + SBOX[b1] * 0x100 + SBOX[c2] * 0x10000 + SBOX[d] * 0x1000000, w[40]),
        bxor(SBOX[b0] + SBOX[c1] * 0x100 + SBOX[d2] * 0x10000 + SBOX[a] * 0x1000000, w[41]),
        bxor(SBOX[c0] + SBOX[d1] * 0x100 + SBOX[a2] * 0x10000 + SBOX[b] * 0x1000000, w[42]),
        bxor(SBOX[d0] + SBOX[a1] * 0x100 + SBOX[b2] * 0x10000 + SBOX[c] * 0x1000000, w[43])
end

-- Nonce: direction, sid, ctr, six zeros. The counter stands in the last byte: no payload has 256 blocks.
local function deciphered(w, direction, sid, ctr, raw, at, bytes)
    local head, parts = 1 + direction * 0x100 + sid * 0x10000, {}
    local padded = sub(raw, at + 1, at + bytes) .. rep("\0", -bytes % 16)
    for block = 0, #padded / 16 - 1 do
        local place = block * 16
        local a, b, c, d = encrypted(w, head, ctr, 0, (block + 1) * 0x1000000)
        local a0, a1, a2, a3 = four(bxor(a, word_at(padded, place)))
        local b0, b1, b2, b3 = four(bxor(b, word_at(padded, place + 4)))
        local c0, c1, c2, c3 = four(bxor(c, word_at(padded, place + 8)))
        local d0, d1, d2, d3 = four(bxor(d, word_at(padded, place + 12)))
        parts[block + 1] = char(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)
    end
    return sub(concat(parts), 1, bytes)
end

local function tag_fits(w, direction, sid, ctr, raw, plain, tag_at)
    local head, bytes = direction * 0x100 + sid * 0x10000, #plain
    local a, b, c, d = encrypted(w, 0x59 + head, ctr, 0, bytes * 0x1000000)
    local associated = "\0\12" .. sub(raw, 1, 12) .. "\0\0"
    local covered = associated .. plain .. rep("\0", -bytes % 16)
    for place = 1, #covered, 16 do
        local a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = byte(covered, place, place + 15)
        a = bxor(a, a0 + a1 * 0x100 + a2 * 0x10000 + a3 * 0x1000000)
        b = bxor(b, b0 + b1 * 0x100 + b2 * 0x10000 + b3 * 0x1000000)
        c = bxor(c, c0 + c1 * 0x100 + c2 * 0x10000 + c3 * 0x1000000)
        d = bxor(d, d0 + d1 * 0x100 + d2 * 0x10000 + d3 * 0x1000000)
        a, b, c, d = encrypted(w, a, b, c, d)
    end
    local mask_a, mask_b = encrypted(w, 1 + head, ctr, 0, 0)
    return bxor(a, mask_a) == word_at(raw, tag_at) and bxor(b, mask_b) == word_at(raw, tag_at + 4)
end
