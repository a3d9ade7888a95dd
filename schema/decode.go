package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// errNoRepository is wrapped when a caller forgets to say which repository an object belongs to.
var errNoRepository = errors.New("the scope names no repository")

// Decode turns an object of GitHub's REST API into a row. Characters that Postgres cannot store (U+0000, halves of
// surrogate pairs, bytes that are not UTF-8) become U+FFFD. Fields that the object lacks become unknown columns. The row
// may keep raw. Errors name the table and the column; ErrPullRequest is wrapped for a pull request among issues.
func (t *Table) Decode(raw json.RawMessage, s Scope) (Row, error) {
	raw, o, err := t.parse(raw)
	if err != nil {
		return Row{}, err
	}
	return t.row(raw, o, s)
}

// Referenced gives the rows of other tables that the object carries with it (author, assignees, labels, milestone, ...),
// those that are referenced before those that refer to them. An account may come more than once.
func (t *Table) Referenced(raw json.RawMessage, s Scope) ([]Row, error) {
	_, o, err := t.parse(raw)
	if err != nil {
		return nil, err
	}
	return t.references(o, s)
}

// Rows gives what Referenced and Decode give, from one reading of the object: the row itself comes last.
func (t *Table) Rows(raw json.RawMessage, s Scope) ([]Row, error) {
	raw, o, err := t.parse(raw)
	if err != nil {
		return nil, err
	}
	rows, err := t.references(o, s)
	if err != nil {
		return nil, err
	}
	row, err := t.row(raw, o, s)
	if err != nil {
		return nil, err
	}
	return append(rows, row), nil
}

func (t *Table) parse(raw json.RawMessage) (json.RawMessage, object, error) {
	raw, err := storable(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("decoding %s: %w", t.Name, err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, nil, fmt.Errorf("decoding %s: %w", t.Name, err)
	}
	if o == nil {
		return nil, nil, fmt.Errorf("decoding %s: the object is null", t.Name)
	}
	if t.refuse != nil {
		if err := t.refuse(o); err != nil {
			return nil, nil, fmt.Errorf("decoding %s: %w", t.Name, err)
		}
	}
	return raw, o, nil
}

func (t *Table) references(o object, s Scope) ([]Row, error) {
	if t.referenced == nil {
		return nil, nil
	}
	rows, err := t.referenced(o, s)
	if err != nil {
		return nil, fmt.Errorf("decoding what %s refers to: %w", t.Name, err)
	}
	return rows, nil
}

func (t *Table) row(raw json.RawMessage, o object, s Scope) (Row, error) {
	row := Row{Table: t, Values: make([]any, len(t.Columns))}
	// Several columns read fields of the same nested object (type.id, type.name): it is taken apart once.
	nested := map[string]object{}
	for i := range t.Columns {
		c := &t.Columns[i]
		switch c.Name {
		case "payload":
			row.Values[i] = raw
			continue
		case "synced_at":
			continue
		}
		field := c.field()
		_, there := o[field]
		if c.resolve != "" || field != "" && !there {
			if row.unknown == nil {
				row.unknown = make([]bool, len(t.Columns))
			}
			row.unknown[i] = true
			continue
		}
		v, err := c.value(o, nested, s)
		if err != nil {
			return Row{}, fmt.Errorf("decoding %s.%s: %w", t.Name, c.Name, err)
		}
		if v == nil && c.NotNull {
			return Row{}, fmt.Errorf("decoding %s.%s: the field %q is null", t.Name, c.Name, c.Path)
		}
		row.Values[i] = v
	}
	if row.ID() == 0 {
		return Row{}, fmt.Errorf("decoding %s: the object has no id", t.Name)
	}
	return row, nil
}

func (c *Column) value(o object, nested map[string]object, s Scope) (any, error) {
	if c.derive != nil {
		return c.derive(o, s)
	}
	field, rest, deep := strings.Cut(c.Path, ".")
	if !deep {
		return o.value(field, c.Type)
	}
	inner, ok := nested[field]
	if !ok {
		if err := json.Unmarshal(o[field], &inner); err != nil {
			return nil, err
		}
		nested[field] = inner
	}
	return inner.value(rest, c.Type)
}

// value converts one field to the Go value of a Postgres type; nil when the field is null or missing.
func (o object) value(field, typ string) (any, error) {
	raw, ok := o[field]
	if !ok || isNull(raw) {
		return nil, nil
	}
	switch typ {
	case typeInt:
		return strconv.ParseInt(string(raw), 10, 64)
	case typeText:
		if raw[0] != '"' && raw[0] != '{' && raw[0] != '[' {
			return string(raw), nil
		}
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case typeBool:
		var b bool
		err := json.Unmarshal(raw, &b)
		return b, err
	case typeTexts:
		list := []string{}
		err := json.Unmarshal(raw, &list)
		return list, err
	case typeJSON:
		return raw, nil
	case typeTime:
		return instantOf(raw)
	}
	return nil, fmt.Errorf("no conversion to %s", typ)
}

// instantOf reads a time as GitHub writes it: RFC 3339, or seconds since 1970 in the repository of a push event.
func instantOf(raw json.RawMessage) (any, error) {
	if raw[0] != '"' {
		seconds, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a time", raw)
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if s == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time", s)
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

// objects gives the elements of a list, or the object itself as the only element; nil for null and for a missing field.
func (o object) objects(field string) ([]json.RawMessage, error) {
	raw, ok := o[field]
	if !ok || isNull(raw) {
		return nil, nil
	}
	if raw[0] != '[' {
		return []json.RawMessage{raw}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	kept := items[:0]
	for _, item := range items {
		if !isNull(item) {
			kept = append(kept, item)
		}
	}
	return kept, nil
}

// accounts decodes the accounts in the given fields, each an object or a list of them.
func accounts(o object, fields ...string) ([]Row, error) {
	var rows []Row
	var done [][]byte
	for _, field := range fields {
		items, err := o.objects(field)
		if err != nil {
			return nil, err
		}
		for _, raw := range items {
			if !hasID(raw) || containsBytes(done, raw) {
				continue
			}
			done = append(done, raw)
			row, err := Account.Decode(raw, Scope{})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func containsBytes(list [][]byte, b []byte) bool {
	for _, x := range list {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}

// hasID tells whether an object has an id of its own; search results hold labels without one.
func hasID(raw json.RawMessage) bool {
	var o struct {
		ID *json.Number `json:"id"`
	}
	return json.Unmarshal(raw, &o) == nil && o.ID != nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 4 && string(raw) == "null" }
