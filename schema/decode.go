package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	o, err := t.parseStorable(raw)
	return raw, o, err
}

// parseStorable is parse for what storable has gone through already, alone or as a part of what holds it.
func (t *Table) parseStorable(raw json.RawMessage) (object, error) {
	o, err := parseObject(raw)
	if err == nil && t.refuse != nil {
		err = t.refuse(o)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", t.Name, err)
	}
	return o, nil
}

// nested decodes an object within an object, together with what it refers to; nothing when it has no id of its own, as
// labels in search results do.
func (t *Table) nested(raw json.RawMessage, s Scope) ([]Row, error) {
	o, err := t.parseStorable(raw)
	if err != nil {
		return nil, err
	}
	if id, ok := o.get("id"); !ok || isNull(id) {
		return nil, nil
	}
	rows, err := t.references(o, s)
	if err != nil {
		return nil, err
	}
	row, err := t.row(raw, o, s)
	return append(rows, row), err
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
		_, there := o.get(field)
		if c.resolve != "" || field != "" && !there {
			if row.unknown == nil {
				row.unknown = make([]bool, len(t.Columns))
			}
			row.unknown[i] = true
			continue
		}
		v, err := c.value(o, s)
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

func (c *Column) value(o object, s Scope) (any, error) {
	if c.derive != nil {
		return c.derive(o, s)
	}
	field, rest, deep := strings.Cut(c.Path, ".")
	if !deep {
		return o.value(field, c.Type)
	}
	raw, _ := o.get(field)
	if isNull(raw) {
		return nil, nil
	}
	inner, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	return inner.value(rest, c.Type)
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
			if containsBytes(done, raw) {
				continue
			}
			done = append(done, raw)
			found, err := Account.nested(raw, Scope{})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			rows = append(rows, found...)
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
