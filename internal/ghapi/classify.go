package ghapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// classify turns an answer that is neither success nor 304 nor a redirect into
// an *Error. mutation tells whether the request may have changed something.
func classify(status int, h http.Header, body []byte, mutation bool) *Error {
	e := &Error{
		Status:              status,
		AcceptedPermissions: h.Get("X-Accepted-GitHub-Permissions"),
		RequestID:           h.Get("X-GitHub-Request-Id"),
	}
	parsed := parseErrorBody(body, e)
	if e.Message == "" {
		e.Message = http.StatusText(status)
	}
	switch {
	case status == http.StatusUnauthorized:
		e.Class = ClassUnauthorized
	case status == http.StatusTooManyRequests, status == http.StatusForbidden && limited(h, e):
		e.Class = ClassLimited
	case status == http.StatusForbidden, status == http.StatusUnavailableForLegalReasons:
		e.Class = ClassPermission
	case status == http.StatusNotFound:
		e.Class = ClassNotFound
	case status == http.StatusGone:
		e.Class = ClassGone
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		e.Class = ClassValidation
	case mutation:
		// A 5xx to a mutation promises nothing, whoever sent it: GitHub's
		// front answers 502 and 504 while its back still works, and a 503 in
		// GitHub's form may come from a step after the one that counts.
		e.Class = ClassUnknown
	default:
		e.Class = ClassServer
	}
	if !parsed && e.Class != ClassUnknown && status < 500 && len(bytes.TrimSpace(body)) > 0 {
		e.Message += " (the answer is not in GitHub's form; is there a proxy in between?)"
	}
	return e
}

// limited decides whether a 403 is a limit or a missing permission. Secondary
// limits may come without any header; a permission error may happen to be the
// last request of the hour.
func limited(h http.Header, e *Error) bool {
	if h.Get("Retry-After") != "" {
		return true
	}
	text := strings.ToLower(e.Message)
	if strings.Contains(text, "rate limit") || strings.Contains(text, "abuse detection") ||
		strings.Contains(text, "submitted too quickly") ||
		strings.Contains(e.DocumentationURL, "rate-limit") || strings.Contains(e.DocumentationURL, "abuse-rate") {
		return true
	}
	if h.Get("X-RateLimit-Remaining") != "0" {
		return false
	}
	for _, words := range []string{"not accessible", "must have", "permission", "not authorized", "read-only", "archived", "forbidden", "disabled", "suspended", "saml", "blocked"} {
		if strings.Contains(text, words) {
			return false
		}
	}
	return true
}

// parseErrorBody fills message, fields and documentation URL, and tells
// whether the body had GitHub's form. GitHub sends "errors" as a list of
// objects, as a list of strings, and as one string.
func parseErrorBody(body []byte, e *Error) bool {
	var b struct {
		Message          string          `json:"message"`
		DocumentationURL string          `json:"documentation_url"`
		Errors           json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &b) != nil || b.Message == "" {
		return false
	}
	e.Message, e.DocumentationURL = b.Message, b.DocumentationURL
	var entries []json.RawMessage
	if json.Unmarshal(b.Errors, &entries) != nil && len(b.Errors) > 0 {
		entries = []json.RawMessage{b.Errors}
	}
	for _, raw := range entries {
		e.Fields = append(e.Fields, parseFieldError(raw))
	}
	return true
}

func parseFieldError(raw json.RawMessage) FieldError {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return FieldError{Message: text}
	}
	var f struct {
		Resource string          `json:"resource"`
		Field    string          `json:"field"`
		Code     string          `json:"code"`
		Message  string          `json:"message"`
		Value    json.RawMessage `json:"value"`
	}
	if json.Unmarshal(raw, &f) != nil {
		return FieldError{Message: string(raw)}
	}
	out := FieldError{Resource: f.Resource, Field: f.Field, Code: f.Code, Message: f.Message}
	if len(f.Value) > 0 && string(f.Value) != "null" {
		if json.Unmarshal(f.Value, &out.Value) != nil {
			out.Value = string(f.Value)
		}
		if len(out.Value) > 200 {
			out.Value = fmt.Sprintf("%.200s... (%d bytes)", out.Value, len(out.Value))
		}
	}
	return out
}
