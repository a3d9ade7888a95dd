package proxy

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/pghub/pghub/writers"
)

// refused is an error for the client.
type refused struct{ writers.Refusal }

func refusal(code, message string) *refused {
	return &refused{writers.Refusal{SQLSTATE: code, Message: message}}
}

func asRefused(err error) *refused { return &refused{*writers.Refuse(err)} }

func (r *refused) detail(format string, args ...any) *refused {
	r.Detail = fmt.Sprintf(format, args...)
	return r
}

func (r *refused) hint(hint string) *refused { r.Hint = hint; return r }

// raise is the query by which the server raises the error.
func (r *refused) raise() string {
	return fmt.Sprintf("SELECT pghub.raise_error('%s', %s, %s, %s)", r.SQLSTATE, literal(r.Message), literal(r.Detail), literal(r.Hint))
}

// literal writes text as an SQL expression that is plain ASCII, so that it
// means the same whatever client_encoding and standard_conforming_strings say.
func literal(text string) string {
	if text == "" {
		return "NULL"
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	return "pg_catalog.convert_from(pg_catalog.decode('" + base64.StdEncoding.EncodeToString([]byte(text)) + "', 'base64'), 'UTF8')"
}
