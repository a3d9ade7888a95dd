package writers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// values reads columns in the jsonb form that the trigger reports.
type values map[string]json.RawMessage

// null tells whether a column is NULL or was not reported.
func (v values) null(column string) bool {
	raw, ok := v[column]
	return !ok || len(raw) == 0 || string(raw) == "null"
}

// integer returns 0 for NULL.
func (v values) integer(column string) (int64, error) {
	if v.null(column) {
		return 0, nil
	}
	var n int64
	if err := json.Unmarshal(v[column], &n); err != nil {
		return 0, fmt.Errorf("reading column %s of the planned row: %w", column, err)
	}
	return n, nil
}

// text returns "" for NULL.
func (v values) text(column string) (string, error) {
	if v.null(column) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(v[column], &s); err != nil {
		return "", fmt.Errorf("reading column %s of the planned row: %w", column, err)
	}
	if strings.ContainsRune(s, 0) {
		return "", &Refusal{
			SQLSTATE: codeCharacter,
			Message:  fmt.Sprintf("column %q holds the character U+0000", column),
			Hint:     "Neither Postgres nor the mirror can store it; leave it out.",
		}
	}
	return s, nil
}

// boolean returns false for NULL.
func (v values) boolean(column string) (bool, error) {
	if v.null(column) {
		return false, nil
	}
	var b bool
	if err := json.Unmarshal(v[column], &b); err != nil {
		return false, fmt.Errorf("reading column %s of the planned row: %w", column, err)
	}
	return b, nil
}

// texts returns nil for NULL. An element that is NULL, or an array of more
// than one dimension, is refused.
func (v values) texts(column string) ([]string, error) {
	if v.null(column) {
		return nil, nil
	}
	var list []*string
	if err := json.Unmarshal(v[column], &list); err != nil {
		return nil, &Refusal{SQLSTATE: codeCheck, Message: fmt.Sprintf("column %q must be a list of names", column), Err: err}
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, &Refusal{
				SQLSTATE: codeNotNull,
				Message:  fmt.Sprintf("column %q holds a NULL among its names", column),
				Hint:     "array_remove(..., NULL) takes it out.",
			}
		}
		if strings.ContainsRune(*s, 0) {
			return nil, &Refusal{SQLSTATE: codeCharacter, Message: fmt.Sprintf("column %q holds the character U+0000", column)}
		}
		out = append(out, *s)
	}
	return out, nil
}

// sameJSON compares two values by meaning, numbers exactly.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	decode := func(raw json.RawMessage) (string, bool) {
		if len(raw) == 0 {
			return "null", true
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return "", false
		}
		out, err := json.Marshal(v)
		return string(out), err == nil
	}
	x, ok1 := decode(a)
	y, ok2 := decode(b)
	return ok1 && ok2 && x == y
}

// distinctNames drops repetitions, which GitHub tells apart by letters only,
// not by their case; the first spelling stays.
func distinctNames(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if !containsName(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func containsName(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(strings.TrimSpace(n), strings.TrimSpace(name)) {
			return true
		}
	}
	return false
}

// missingNames are those of want that are not in have.
func missingNames(want, have []string) []string {
	var out []string
	for _, name := range want {
		if !containsName(have, name) {
			out = append(out, name)
		}
	}
	return out
}

func sameNames(a, b []string) bool {
	return len(missingNames(a, b)) == 0 && len(missingNames(b, a)) == 0
}

// sameText compares texts as GitHub stores them: it may trim the ends and
// changes line ends.
func sameText(a, b string) bool {
	clean := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return clean(a) == clean(b)
}
