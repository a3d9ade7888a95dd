package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// secretField is a credential that GitHub puts into repository objects; it must not reach a table that people query.
const secretField = "temp_clone_token"

// storable returns the object in a form that jsonb takes: Postgres refuses U+0000 and lone surrogates in JSON, which
// GitHub does send, and bytes that are not UTF-8. Such characters become U+FFFD, and the clone token is left out.
// Almost every object passes untouched.
func storable(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if utf8.Valid(raw) && !suspicious(raw) && json.Valid(raw) {
		return raw, nil
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(raw, []byte("\uFFFD"))))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("reading JSON: something follows the object")
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(clean(v)); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// suspicious errs on the side of yes.
func suspicious(raw []byte) bool {
	if bytes.Contains(raw, []byte(secretField)) {
		return true
	}
	for {
		at := bytes.Index(raw, []byte(`\u`))
		if at < 0 || at+6 > len(raw) {
			return false
		}
		raw = raw[at+2:]
		if string(raw[:4]) == "0000" || raw[0]|0x20 == 'd' {
			return true
		}
	}
}

func clean(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "\uFFFD")
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			if key != secretField {
				out[clean(key).(string)] = clean(inner)
			}
		}
		return out
	}
	return v
}
