package githubsim

import (
	"fmt"
	"net/http"
	"strconv"
)

// apiError is a refusal in one of GitHub's forms. Handlers return it as error;
// the pipeline renders it. A nil fields slice leaves "errors" out.
type apiError struct {
	status  int
	message string
	fields  []fieldError
	header  map[string]string
	url     string // of a redirect
	text    bool   // plain text instead of JSON
}

// fieldError is one entry of a validation error; value is raw JSON or empty.
type fieldError struct {
	resource, field, code, message, value string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.status, e.message) }

func (e *apiError) render(en *enc, documentation string) {
	en.open('{')
	en.str("message", e.message)
	if e.url != "" {
		en.str("url", e.url)
	}
	if e.fields != nil {
		en.array("errors")
		for _, f := range e.fields {
			en.open('{')
			if f.value != "" {
				en.raw("value", f.value)
			}
			en.str("resource", f.resource)
			if f.field != "" {
				en.str("field", f.field)
			}
			en.str("code", f.code)
			if f.message != "" {
				en.str("message", f.message)
			}
			en.close('}')
		}
		en.close(']')
	}
	en.str("documentation_url", documentation)
	en.str("status", strconv.Itoa(e.status))
	en.close('}')
}

func errNotFound() error { return &apiError{status: http.StatusNotFound, message: "Not Found"} }

func errUnauthenticated() error {
	return &apiError{status: http.StatusUnauthorized, message: "Requires authentication"}
}

func errForbidden() error {
	return &apiError{status: http.StatusForbidden, message: "Must have admin rights to Repository."}
}

func errGone(message string) error { return &apiError{status: http.StatusGone, message: message} }

func errInvalid(fields ...fieldError) error {
	return &apiError{status: http.StatusUnprocessableEntity, message: "Validation Failed", fields: fields}
}

// errSchema is GitHub's answer to a body that does not fit the operation's JSON
// schema; it carries no "errors".
func errSchema(format string, args ...any) error {
	return &apiError{status: http.StatusUnprocessableEntity, message: "Invalid request.\n\n" + fmt.Sprintf(format, args...)}
}
