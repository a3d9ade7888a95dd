package contract

import (
	"fmt"
	"strings"
)

// Kind is what is wrong with a request, an answer or an event.
type Kind string

// The kinds of faults. What Fault.Subject holds is in brackets.
const (
	UnknownOperation Kind = "operation not described"      // [method and path]
	UnknownQuery     Kind = "query parameter"              // [its name]
	UnknownHeader    Kind = "request header not described" // [its name]
	BadRequest       Kind = "request"                      // [where]
	UnknownStatus    Kind = "status not described"         // [the status]
	BadAnswer        Kind = "answer"                       // [JSON path]
	UnknownField     Kind = "field not described"          // [JSON path]
	BadEvent         Kind = "webhook payload"              // [JSON path]
	BadDocument      Kind = "GraphQL document"             // [rule]
	BadData          Kind = "GraphQL answer"               // [path]
)

// Fault is one difference from what GitHub describes.
type Fault struct {
	Kind      Kind
	Operation string // "GET /repos/{owner}/{repo}/issues", "issues-opened", "graphql"
	Subject   string // what Exception.Subject is compared with
	Detail    string
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s %s: %s", f.Operation, f.Kind, f.Subject, f.Detail)
}

// glob matches * with any text.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(s, p)
		if !ok {
			return false
		}
		s = rest
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
