package schema

import (
	"bytes"
	"encoding/json"
	"maps"
	"time"
)

// join makes one row of two states of the same id: the newer by the table's version, else the later one, with what only
// the other one knows.
func join(a, b Row) Row {
	newer, older := b, a
	if v := a.Table.Version; v != "" {
		va, okA := a.Get(v).(time.Time)
		vb, okB := b.Get(v).(time.Time)
		if okA && okB && va.After(vb) {
			newer, older = a, b
		}
	}
	payload := newer.Table.Position("payload")
	if samePayload(newer.Values[payload], older.Values[payload]) {
		return newer
	}
	out := Row{Table: newer.Table, Values: make([]any, len(newer.Values)), unknown: make([]bool, len(newer.Values))}
	for i := range out.Values {
		switch {
		case newer.known(i):
			out.Values[i] = newer.Values[i]
		case older.known(i):
			out.Values[i] = older.Values[i]
		default:
			out.unknown[i] = true
		}
	}
	out.Values[payload] = joinPayload(older.Values[payload], newer.Values[payload])
	return out
}

func samePayload(a, b any) bool {
	x, okX := a.(json.RawMessage)
	y, okY := b.(json.RawMessage)
	return okX && okY && bytes.Equal(x, y)
}

// joinPayload lays the newer object over the older one, as the merge in Postgres does with the stored one.
func joinPayload(older, newer any) any {
	x, okX := older.(json.RawMessage)
	y, okY := newer.(json.RawMessage)
	if !okX || !okY {
		return newer
	}
	var below, above map[string]json.RawMessage
	if json.Unmarshal(x, &below) != nil || json.Unmarshal(y, &above) != nil || below == nil {
		return newer
	}
	maps.Copy(below, above)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(below) != nil {
		return newer
	}
	return json.RawMessage(bytes.TrimSpace(out.Bytes()))
}

// knownBits gives one bit for each column, in the order of get_bit(bytea, n): set where the column is known. Nil means that
// all are.
func (r Row) knownBits() []byte {
	if r.unknown == nil {
		return nil
	}
	bits := make([]byte, (len(r.unknown)+7)/8)
	for i, unknown := range r.unknown {
		if !unknown {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}
