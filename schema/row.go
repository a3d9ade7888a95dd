package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Row is one row of a mirrored table. The zero Row belongs to no table and is of no use.
type Row struct {
	Table *Table
	// Values holds one value for each of Table.Columns, as pgx takes them: int64, string, bool, time.Time, []string,
	// json.RawMessage, or nil for NULL. synced_at is nil: whoever stores the row sets it.
	Values []any

	// unknown marks columns whose field GitHub's object did not carry; nil means that all are known. Storing the row
	// leaves such columns as they are.
	unknown []bool
}

// ID returns the REST id, or 0 when the row has none.
func (r Row) ID() int64 {
	id, _ := r.Get("id").(int64)
	return id
}

// Get returns the value of a column, nil for NULL, for a field that GitHub's object did not carry, and for a column
// that the table does not have.
func (r Row) Get(column string) any {
	if r.Table == nil {
		return nil
	}
	if i := r.Table.Position(column); i >= 0 && i < len(r.Values) {
		return r.Values[i]
	}
	return nil
}

// Known tells whether GitHub's object said what the column holds, null included.
func (r Row) Known(column string) bool {
	i := r.Table.Position(column)
	return i >= 0 && r.known(i)
}

func (r Row) known(i int) bool { return r.unknown == nil || !r.unknown[i] }

// JSON gives the row as an object of its columns, such that jsonb_populate_record(NULL::github.<table>, json) makes this
// very row. Columns that GitHub's answer did not carry are left out, so that populating a stored record keeps what it
// has; so is synced_at, which belongs to the moment of storing.
func (r Row) JSON() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	buf.WriteByte('{')
	for i, c := range r.Table.Columns {
		if !r.known(i) || c.Name == "synced_at" {
			continue
		}
		if buf.Len() > 1 {
			buf.WriteByte(',')
		}
		v := r.Values[i]
		if t, ok := v.(time.Time); ok {
			v = t.Format(time.RFC3339Nano)
		}
		buf.WriteString(strconv.Quote(c.Name) + ":") // column names are plain ASCII
		if err := enc.Encode(v); err != nil {
			return nil, fmt.Errorf("encoding %s.%s: %w", r.Table.Name, c.Name, err)
		}
		buf.Truncate(buf.Len() - 1) // the line end that Encode adds
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}
