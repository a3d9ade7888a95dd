package ghapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// GraphQL sends a query or mutation and decodes the data member of the answer
// into out, unless out is nil. Errors in the answer become an *Error even
// though GitHub sends them with status 200; out then holds what data there was.
// https://docs.github.com/en/graphql/guides/using-graphql-clients
func (c *Client) GraphQL(ctx context.Context, query string, variables map[string]any, out any, p Priority) (*Response, error) {
	body := struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables,omitempty"`
	}{query, variables}
	mutation := strings.HasPrefix(strings.TrimSpace(query), "mutation")
	r := Request{Method: http.MethodPost, Path: c.graphqlURL(), Body: body, Priority: p, query: !mutation}
	deadline := time.Now().Add(c.cfg.MaxWait)
	for limitedTimes := 1; ; limitedTimes++ {
		resp, err := c.Do(ctx, r)
		if err != nil {
			return nil, err
		}
		fail := c.graphqlError(resp, out, mutation)
		if fail == nil {
			return resp, nil
		}
		fail.Method, fail.Path, fail.Status, fail.RequestID, fail.StartedAt = r.Method, pathOnly(r.Path), resp.Status, resp.RequestID, resp.StartedAt
		if fail.Class != ClassLimited {
			return resp, fail
		}
		fail.RetryAt = c.limits.hit(resp.Header, r.resource(), time.Now())
		c.log.Warn("GitHub's rate limit was met", "path", fail.Path, "message", fail.Message, "retry_at", fail.RetryAt)
		if limitedTimes >= maxLimited || fail.RetryAt.After(deadline) {
			return resp, fail
		}
	}
}

// graphqlURL is /graphql on github.com and /api/graphql on Enterprise Server,
// whose REST address ends with /api/v3/.
func (c *Client) graphqlURL() string {
	return strings.TrimSuffix(c.base.String(), "v3/") + "graphql"
}

func (c *Client) graphqlError(resp *Response, out any, mutation bool) *Error {
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Type    string            `json:"type"`
			Message string            `json:"message"`
			Path    []json.RawMessage `json:"path"`
		} `json:"errors"`
	}
	unreadable := ClassServer
	if mutation {
		unreadable = ClassUnknown
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil {
		return &Error{Class: unreadable, Message: "the answer is not in GitHub's form", Err: err}
	}
	if out != nil && len(answer.Data) > 0 && string(answer.Data) != "null" {
		if err := json.Unmarshal(answer.Data, out); err != nil {
			return &Error{Class: unreadable, Message: "the answer could not be decoded", Err: err}
		}
	}
	if len(answer.Errors) == 0 {
		return nil
	}
	fail := &Error{Message: answer.Errors[0].Message}
	for _, e := range answer.Errors {
		field := make([]string, len(e.Path))
		for i, step := range e.Path {
			field[i] = strings.Trim(string(step), `"`)
		}
		fail.Fields = append(fail.Fields, FieldError{Field: strings.Join(field, "."), Code: e.Type, Message: e.Message})
	}
	switch first := answer.Errors[0]; first.Type {
	case "RATE_LIMITED", "RATE_LIMIT":
		fail.Class = ClassLimited
	case "FORBIDDEN", "INSUFFICIENT_SCOPES":
		fail.Class = ClassPermission
	case "NOT_FOUND":
		fail.Class = ClassNotFound
	case "":
		// Errors without a type are either refusals before execution (syntax,
		// unknown field; these have no path) or GitHub's own failures.
		lower := strings.ToLower(first.Message)
		switch {
		case strings.Contains(lower, "rate limit") || strings.Contains(lower, "submitted too quickly"):
			fail.Class = ClassLimited
		case strings.Contains(lower, "something went wrong") || strings.Contains(lower, "timeout") || strings.Contains(lower, "timedout"):
			fail.Class = unreadable
		default:
			fail.Class = ClassValidation
		}
	case "SERVICE_UNAVAILABLE", "INTERNAL", "INTERNAL_SERVER_ERROR", "MAX_NODE_LIMIT_EXCEEDED":
		fail.Class = unreadable
	default:
		fail.Class = ClassValidation
	}
	if fail.Message == "" {
		fail.Message = fmt.Sprintf("GraphQL error %s", answer.Errors[0].Type)
	}
	return fail
}
