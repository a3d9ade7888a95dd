package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// object is one level of a JSON object: its members in order, values still in JSON. Objects of GitHub have some 20 to 100
// members, of which most are read once; a list with comparisons by length costs a fraction of the map that package json
// would build, and nothing is parsed twice.
type object []member

type member struct {
	key   []byte
	value json.RawMessage
}

// parseObject splits an object without looking deeper. The text must be valid JSON.
func parseObject(raw []byte) (object, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, fmt.Errorf("%s is not an object", kind(raw))
	}
	// Room for every member, counted roughly, so that the list grows rarely.
	o := make(object, 0, min(len(raw)/48+4, 128))
	at := skipSpace(raw, 1)
	for raw[at] != '}' {
		end := skipString(raw, at)
		key := raw[at+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			var s string
			if err := json.Unmarshal(raw[at:end], &s); err != nil {
				return nil, err
			}
			key = []byte(s)
		}
		at = skipSpace(raw, skipSpace(raw, end)+1) // over the colon
		end = skipValue(raw, at)
		o = append(o, member{key, raw[at:end:end]})
		if at = skipSpace(raw, end); raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	return o, nil
}

// parseArray splits a list likewise.
func parseArray(raw []byte) ([]json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, fmt.Errorf("%s is not a list", kind(raw))
	}
	var items []json.RawMessage
	at := skipSpace(raw, 1)
	for raw[at] != ']' {
		end := skipValue(raw, at)
		items = append(items, raw[at:end:end])
		if at = skipSpace(raw, end); raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	return items, nil
}

func skipSpace(raw []byte, at int) int {
	for raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r' {
		at++
	}
	return at
}

// skipString returns the position after the string that begins at at.
func skipString(raw []byte, at int) int {
	for at++; ; at++ {
		at += bytes.IndexByte(raw[at:], '"')
		backslashes := 0
		for raw[at-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return at + 1
		}
	}
}

// skipValue returns the position after the value that begins at at.
func skipValue(raw []byte, at int) int {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
			if depth == 0 {
				return at
			}
		case '{', '[':
			depth++
			at++
		case '}', ']':
			if depth == 0 {
				return at // the end of what holds a number or a literal
			}
			at++
			if depth--; depth == 0 {
				return at
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return at
			}
			at++
		default:
			at++
		}
	}
	return at
}

func kind(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a truth value"
	case 'n':
		return "null"
	}
	return "a number"
}

// get returns the last member of that name, as Postgres' jsonb takes it, and whether there is one.
func (o object) get(field string) (json.RawMessage, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if string(o[i].key) == field {
			return o[i].value, true
		}
	}
	return nil, false
}

// value converts one field to the Go value of a Postgres type; nil when the field is null or missing.
func (o object) value(field, typ string) (any, error) {
	raw, ok := o.get(field)
	if !ok || isNull(raw) {
		return nil, nil
	}
	switch typ {
	case typeInt:
		return strconv.ParseInt(string(raw), 10, 64)
	case typeText:
		switch raw[0] {
		case '{', '[':
			return nil, fmt.Errorf("%s is not text", kind(raw))
		case '"':
			return stringOf(raw)
		}
		return string(raw), nil
	case typeBool:
		if raw[0] != 't' && raw[0] != 'f' {
			return nil, fmt.Errorf("%s is not a truth value", kind(raw))
		}
		return raw[0] == 't', nil
	case typeTexts:
		items, err := parseArray(raw)
		if err != nil {
			return nil, err
		}
		list := make([]string, len(items))
		for i, item := range items {
			if list[i], err = stringOf(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case typeJSON:
		return raw, nil
	case typeTime:
		return instantOf(raw)
	}
	return nil, fmt.Errorf("no conversion to %s", typ)
}

// objects gives the elements of a list without nulls, or the object itself as the only element; nil for null and for a
// missing field.
func (o object) objects(field string) ([]json.RawMessage, error) {
	raw, ok := o.get(field)
	if !ok || isNull(raw) {
		return nil, nil
	}
	if raw[0] == '{' {
		return []json.RawMessage{raw}, nil
	}
	items, err := parseArray(raw)
	if err != nil {
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

func stringOf(raw json.RawMessage) (string, error) {
	if raw[0] != '"' {
		return "", fmt.Errorf("%s is not a string", kind(raw))
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
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
	s, err := stringOf(raw)
	if err != nil || s == "" {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time", s)
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 4 && string(raw) == "null" }
