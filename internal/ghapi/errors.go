package ghapi

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what a failed request means for the caller.
type Class int

// The classes. ClassNone is the class of nil and of errors from elsewhere.
const (
	ClassNone Class = iota
	// ClassValidation: GitHub refused the content (422, or 400).
	ClassValidation
	// ClassPermission: the credential may not do this (403).
	ClassPermission
	// ClassNotFound: there is no such object, or the credential may not see it (404).
	ClassNotFound
	// ClassGone: the object was deleted, or the feature is switched off (410).
	ClassGone
	// ClassMoved: the object lives elsewhere (301 and its kin) and the request
	// was not carried there; Error.Location names the place.
	ClassMoved
	// ClassUnauthorized: the credential is wrong, expired or revoked (401).
	ClassUnauthorized
	// ClassLimited: a primary or secondary rate limit; Error.RetryAt says
	// until when. GitHub did not act on the request.
	ClassLimited
	// ClassUnreachable: no connection could be made, or nothing was sent on
	// it. GitHub certainly did not act on the request. Reads whose answer got
	// lost have this class too, after their retries.
	ClassUnreachable
	// ClassUnknown: a mutation was sent and its outcome is not known: the
	// answer was cut, timed out, or was a 5xx. GitHub may have acted.
	ClassUnknown
	// ClassServer: GitHub answered a read with 5xx, retries included, or with
	// something that is not GitHub's form.
	ClassServer
	// ClassCanceled: the caller's context ended before the request was sent,
	// or while a read was under way.
	ClassCanceled
)

var classNames = [...]string{
	"none", "validation", "permission", "not found", "gone", "moved", "unauthorized",
	"limited", "unreachable", "unknown", "server", "canceled",
}

// String is a lower-case word for logs and metrics.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class %d", int(c))
	}
	return classNames[c]
}

// NotApplied tells whether an error of this class means that GitHub certainly
// did not act on a mutation. It is false for ClassUnknown and ClassNone.
func (c Class) NotApplied() bool { return c != ClassUnknown && c != ClassNone }

// FieldError is one entry of the errors list of a 422 answer, or of a GraphQL
// answer. Any of its members may be empty; where GitHub sent a plain string it
// is Message.
// https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed
type FieldError struct {
	Resource, Field, Code, Message, Value string
}

// String joins what GitHub said, such as "title: missing_field".
func (f FieldError) String() string {
	var parts []string
	if f.Field != "" {
		parts = append(parts, f.Field)
	}
	if f.Code != "" && (f.Code != "custom" || f.Message == "") {
		parts = append(parts, f.Code)
	}
	if f.Message != "" {
		parts = append(parts, f.Message)
	}
	if f.Value != "" {
		parts = append(parts, "value "+f.Value)
	}
	return strings.Join(parts, ": ")
}

// Error is what every method of Client returns on failure, sometimes wrapped.
type Error struct {
	Class  Class
	Status int // HTTP status, 0 when there was no answer
	// Method and Path name the request; Path has no query.
	Method, Path string
	// Message is GitHub's own, or ours when GitHub sent none.
	Message string
	Fields  []FieldError
	// RetryAt is set for ClassLimited: before that time another try is
	// refused without a request.
	RetryAt time.Time
	// AcceptedPermissions is the X-Accepted-GitHub-Permissions header, such
	// as "issues=write".
	AcceptedPermissions string
	DocumentationURL    string
	// Location is set for ClassMoved: the absolute URL GitHub pointed to.
	Location  string
	RequestID string // X-GitHub-Request-Id, for GitHub's support
	// StartedAt is when the request was sent; zero when it never was.
	StartedAt time.Time
	Err       error // cause, if any
}

// Unwrap returns the cause, such as a net.Error or the context's error.
func (e *Error) Unwrap() error { return e.Err }

// RetryTime is when another try makes sense, for callers that know errors by
// this behaviour only; zero when GitHub set no time.
func (e *Error) RetryTime() time.Time { return e.RetryAt }

// Error never holds a credential or a query string.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "GitHub %s %s: ", e.Method, e.Path)
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d ", e.Status)
	}
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(" (")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(f.String())
		if i == len(e.Fields)-1 {
			b.WriteByte(')')
		}
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(&b, "; retry after %s", e.RetryAt.UTC().Format(time.RFC3339))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// ClassOf returns the class of the *Error in err's chain, else ClassNone.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassNone
}
