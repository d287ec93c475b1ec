-- Messages: their fields, made from the declarations, and how they are shown.

-- ---- fields of the messages, made from the declarations --------------------------------------------------------

local UNSIGNED = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32, [8] = ProtoField.uint64 }
local SIGNED = { [1] = ProtoField.int8, [2] = ProtoField.int16, [4] = ProtoField.int32, [8] = ProtoField.int64 }

local function number_field(declared, abbreviation)
    local make = (declared.signed and SIGNED or UNSIGNED)[declared.bytes]
    local shown_in = declared.hex and base.HEX or base.DEC
    if declared.words then return make(abbreviation, declared.name, shown_in, declared.words) end
    if declared.unit then
        local unit = " " .. declared.unit
        return make(abbreviation, declared.name, base.UNIT_STRING, { unit, unit })
    end
    return make(abbreviation, declared.name, declared.bits and base.HEX or shown_in)
end

local bind

-- One declared field as it is shown under a prefix: a copy with its ProtoFields, and with its parts bound likewise.
local function bound(declared, prefix)
    local mine = {}
    for key, value in pairs(declared) do mine[key] = value end
    local abbreviation = prefix .. "." .. (declared.name or "")
    if declared.kind == "number" or declared.kind == "count" then
        mine.field = registers(number_field(declared, abbreviation))
        mine.bit_fields, mine.known, mine.known_count = {}, {}, 0
        for i, bit in ipairs(declared.bits or {}) do
            mine.bit_fields[i] = registers(
                ProtoField.bool(abbreviation .. "." .. bit[2]:lower(), bit[2], declared.bytes * 8, nil, bit[1])
            )
        end
    elseif declared.kind == "bytes" or declared.kind == "octets" then
        mine.field = registers(ProtoField.bytes(abbreviation, declared.name))
    elseif declared.kind == "check" then
        mine.field = registers(ProtoField.uint16(abbreviation, declared.name, base.HEX))
    elseif declared.kind == "record" then
        mine.parts = bind(declared.record, abbreviation)
    elseif declared.kind == "rows" then
        mine.parts = declared.record and bind(declared.record, declared.prefix or abbreviation)
            or { bound(declared.row, prefix) }
    end
    return mine
end

function bind(record, prefix)
    local parts = {}
    for i, declared in ipairs(RECORDS[record]) do parts[i] = bound(declared, prefix) end
    return parts
end

local MESSAGES = {} -- by kind, then by opcode: name and fields
for kind, rows in pairs(DECLARED) do
    MESSAGES[kind] = {}
    for opcode, row in pairs(rows) do
        MESSAGES[kind][opcode] = { name = row.name, fields = bind(row.record, "pumpbench." .. row.prefix) }
    end
end
local LOG_FIELDS = {}
for number, row in pairs(LOG_DATA) do
    LOG_FIELDS[number] = { name = row.name, fields = bind(row.record, "pumpbench.log." .. row.name:lower()) }
end
local REFUSAL_MESSAGE = { name = "refusal", fields = bind(REFUSAL_RECORD, "pumpbench.err") }

-- ---- messages --------------------------------------------------------------------------------------------------

-- Somebody looks at the tree: else only what a filter or a column refers to is added to it, which saves most of the time.
local visible = false

-- Bytes that are not those of the packet, as they are or unsealed; they are a Tvb of their own once they are shown.
local function source_of(raw, name) return { raw = raw, name = name } end

local function range_of(source, at, bytes)
    if not source.tvb then source.tvb = ByteArray.new(source.raw, true):tvb(source.name) end
    return source.tvb:range(at, bytes)
end

-- Adds a field, where somebody looks at it; returns its item, or else the tree, so that an expert info has a place.
local function add(tree, field, source, at, bytes)
    if visible or tree:referenced(field) then return tree:add_le(field, range_of(source, at, bytes)) end
    return tree
end

local function add_part(tree, source, at, bytes, text)
    if visible and bytes > 0 then return tree:add(pumpbench, range_of(source, at, bytes), text) end
    return tree
end

-- The names of the bits that are set, "" where none is; nil where all that are set have no name.
local function named_bits(field, value)
    local known = field.known[value]
    if known ~= nil then return known end
    local names = {}
    for _, bit in ipairs(field.bits) do
        if band(value, bit[1]) ~= 0 then names[#names + 1] = bit[2] end
    end
    known = (#names > 0 or value == 0) and concat(names, "|")
    if field.known_count > 1000 then field.known, field.known_count = {}, 0 end -- noise has ever new ones
    field.known[value], field.known_count = known, field.known_count + 1
    return known
end

local INFO_MAX, MANY_FIELDS = 200, 8
local NOTHING = { ["none"] = true, ["NONE"] = true, ["false"] = true, [""] = true, [0] = true }

local function said_text(name, value, field)
    if type(value) == "string" then return name .. "=" .. value end
    return name .. format(field.hex and "=0x%X" or "=%.0f", value)
end

-- What one line says of a message: its fields in order; of many, words before numbers, and nothing that is nothing.
-- `said` has field and value by turns.
local function in_one_line(said, short)
    local many, parts, length = #said > 2 * MANY_FIELDS, {}, 0
    for pass = 1, many and 2 or 1 do
        for i = 1, #said, 2 do
            local value = said[i + 1]
            if (not many or (type(value) == "string") == (pass == 1)) and not ((many or short) and NOTHING[value]) then
                if length > INFO_MAX then
                    parts[#parts + 1] = "..."
                    return concat(parts, " ")
                end
                local text = said_text(said[i].name, value, said[i])
                parts[#parts + 1] = text
                length = length + #text + 1
            end
        end
    end
    return concat(parts, " ")
end

local SECONDS_TO_2000 = 946684800
local EXACT_BELOW = 2 ^ 53
local ALL_BITS_MAX = 8

-- Of few bits each is shown, of many those that are set.
local function show_bits(item, source, at, field, value)
    local all = #field.bits <= ALL_BITS_MAX
    if value == 0 and not all then return end
    for i, bit in ipairs(field.bits) do
        local field_of_bit = field.bit_fields[i]
        if (all or band(value, bit[1]) ~= 0) and (visible or item:referenced(field_of_bit)) then
            item:add_le(field_of_bit, range_of(source, at, field.bytes))
        end
    end
end

local function show_number(tree, source, at, field, said)
    local value = number_at(source.raw, at, field.bytes, field.signed)
    local item = add(tree, field.field, source, at, field.bytes)
    local word = field.words and field.words[value]
    if field.bits then
        word = named_bits(field, value) or nil
        if field.mask and band(value, field.mask) ~= value then
            item:add_proto_expert_info(EXPERT.reserved, field.name .. ": reserved bits are set")
        end
        show_bits(item, source, at, field, value)
        if visible and word and word ~= "" then item:append_text(" (" .. word .. ")") end
    elseif field.low and (value < field.low or value > field.high) and not word then
        item:add_proto_expert_info(
            EXPERT.value, format("%s: %.0f, which is not %d to %d", field.name, value, field.low, field.high)
        )
    elseif field.closed and not word then
        item:add_proto_expert_info(EXPERT.value, format("%s: unknown value %.0f", field.name, value))
    elseif field.wall and value > 0 and visible then
        item:append_text(os.date("! (%Y-%m-%d %H:%M:%S UTC)", value + SECONDS_TO_2000))
    end
    if word or value < EXACT_BELOW then said[#said + 1], said[#said + 2] = field, word or value end
    return value
end

local function show_bytes(tree, source, at, bytes, field, said)
    if bytes == 0 then return end
    local item = add(tree, field.field, source, at, bytes)
    if not (visible or field.told) then return end
    local text = sub(source.raw, at + 1, at + bytes):match("^([\32-\126]+)%z*$")
    if text and visible then item:append_text(' "' .. text .. '"') end
    if field.told then said[#said + 1], said[#said + 2] = field, text or bytes .. "B" end
end

local show_fields

local function show_log_data(tree, source, at, field, values)
    local row, last = LOG_FIELDS[values["type"]], at + field.bytes
    local data = add_part(tree, source, at, field.bytes, "data" .. (row and " of " .. row.name or ""))
    if not row then
        add(data, SHOWN.rest, source, at, field.bytes)
        return
    end
    local behind = show_fields(data, source, at, last, row.fields, {}) or at
    if behind < last and sub(source.raw, behind + 1, last) ~= rep("\0", last - behind) then
        add(data, SHOWN.reserved, source, behind, last - behind):add_proto_expert_info(EXPERT.reserved)
    end
end

local function show_rows(tree, source, at, last, field, values, said)
    local number = type(field.times) == "number" and field.times or values[field.times]
    local names = {}
    for index = 0, number - 1 do
        if at + field.bytes > last then return nil end
        local row, told = tree, {}
        if field.record then row = add_part(tree, source, at, field.bytes, format("%s[%d]", field.name, index)) end
        at = show_fields(row, source, at, last, field.parts, told)
        if not at then return nil end
        if field.record and visible then row:append_text(": " .. in_one_line(told)) end
        if told.name then names[#names + 1] = told.name end
    end
    said[#said + 1], said[#said + 2] = field, #names > 0 and number .. "[" .. concat(names, ", ") .. "]" or number
    return at
end

local SHOWING = {} -- by kind of field: shows it and returns where the next one begins; nil where the bytes end before

function SHOWING.number(tree, source, at, _last, field, values, said)
    values[field.name] = show_number(tree, source, at, field, said)
    return at + field.bytes
end

function SHOWING.count(tree, source, at, _last, field, values)
    local value = byte(source.raw, at + 1)
    values[field.name] = value
    local item = add(tree, field.field, source, at, 1)
    if value > field.high then
        item:add_proto_expert_info(EXPERT.count, format("%s: %d, at most %d", field.name, value, field.high))
    end
    return at + 1
end

function SHOWING.bytes(tree, source, at, _last, field, _values, said)
    show_bytes(tree, source, at, field.bytes, field, said)
    return at + field.bytes
end

function SHOWING.octets(tree, source, at, last, field, values, said)
    local bytes = values[field.times]
    if at + bytes > last then return nil end
    show_bytes(tree, source, at, bytes, field, said)
    return at + bytes
end

function SHOWING.reserved(tree, source, at, _last, field)
    if sub(source.raw, at + 1, at + field.bytes) ~= rep("\0", field.bytes) then
        add(tree, SHOWN.reserved, source, at, field.bytes):add_proto_expert_info(EXPERT.reserved)
    end
    return at + field.bytes
end

function SHOWING.check(tree, source, at, _last, field)
    local own = crc16_ccitt_false(source.raw, at - field.covers, field.covers)
    local item = add(tree, field.field, source, at, field.bytes)
    if own ~= number_at(source.raw, at, field.bytes) then
        item:add_proto_expert_info(EXPERT.check, format("check: 0x%04X follows from these bytes", own))
    end
    return at + field.bytes
end

function SHOWING.log_data(tree, source, at, _last, field, values)
    show_log_data(tree, source, at, field, values)
    return at + field.bytes
end

function SHOWING.record(tree, source, at, last, field, _values, said)
    return show_fields(add_part(tree, source, at, field.bytes, field.name), source, at, last, field.parts, said)
end

SHOWING.rows = show_rows

-- Shows fields from `at` on; returns where they end, nil where the bytes end before.
function show_fields(tree, source, at, last, fields, said)
    local values = {}
    for _, field in ipairs(fields) do
        local least = field.kind == "rows" and 0 or field.bytes or 0 -- rows and octets may be none
        local behind = at + least <= last and SHOWING[field.kind](tree, source, at, last, field, values, said)
        if not behind then
            tree:add_proto_expert_info(EXPERT.cut, "the payload ends within " .. (field.name or "reserved bytes"))
            return nil
        end
        at = behind
    end
    local log_type = values["type"] and LOG_FIELDS[values["type"]]
    if log_type and values.seq then said.name = format("%.0f %s", values.seq, log_type.name) end
    return at
end

-- The payload of a frame, from `at` on; returns what the line says of it.
local function show_message(tree, frame, source, at, last)
    local row = frame.kind == REFUSAL and REFUSAL_MESSAGE or (MESSAGES[frame.kind] or {})[frame.opcode]
    if not row then
        local item = last > at and add(tree, SHOWN.payload, source, at, last - at) or tree
        local kind = KINDS[frame.kind]:lower()
        item:add_proto_expert_info(EXPERT.opcode, format("no %s of opcode 0x%02X is known", kind, frame.opcode))
        return format("unknown opcode, %d bytes", last - at)
    end
    local said = {}
    local part = add_part(tree, source, at, last - at, format("%s, %d bytes", row.name, last - at))
    local behind = show_fields(part, source, at, last, row.fields, said)
    if behind and behind < last then
        local item = add(part, SHOWN.rest, source, behind, last - behind)
        item:add_proto_expert_info(EXPERT.rest, format("%d bytes more than this version has", last - behind))
    end
    local line = in_one_line(said, frame.kind == REFUSAL)
    if frame.kind == REFUSAL then
        part:add_proto_expert_info(EXPERT.refused, line)
        if frame.flags == 0 then part:add_proto_expert_info(EXPERT.hint) end
    end
    return behind and line or line .. " [cut]"
end
