package contract

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// noContext is for a library that wants one and does nothing that could last.
var noContext = context.Background()

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// flatten takes a list of errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(openapi3.MultiError); ok {
		var all []error
		for _, e := range many {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// schemaErrors are the innermost differences from a schema inside err. An
// alternative (oneOf, anyOf) that does not fit counts as one.
func schemaErrors(err error) []*openapi3.SchemaError {
	var all []*openapi3.SchemaError
	for _, e := range flatten(err) {
		if many, ok := errors.AsType[openapi3.MultiError](e); ok && errors.Unwrap(e) != nil {
			all = append(all, schemaErrors(many)...)
			continue
		}
		if se, ok := errors.AsType[*openapi3.SchemaError](e); ok {
			all = append(all, se)
		}
	}
	return all
}

func pointer(e *openapi3.SchemaError) string { return "/" + strings.Join(e.JSONPointer(), "/") }

// reason is what is wrong, with what was wrong inside the alternatives.
func reason(e *openapi3.SchemaError) string {
	text := e.Reason
	if e.Reason == "" {
		text = e.Error()
	}
	if e.SchemaField == "oneOf" || e.SchemaField == "anyOf" {
		for _, inner := range schemaErrors(e.Origin) {
			text += "; " + pointer(inner) + ": " + inner.Reason
		}
	}
	return text
}

// excerpt keeps messages readable.
func excerpt(b []byte) string {
	const most = 400
	if len(b) <= most {
		return string(b)
	}
	return string(b[:most]) + "..."
}
