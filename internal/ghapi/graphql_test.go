package ghapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestGraphQLErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query string
		step        http.HandlerFunc
		class       Class
	}{
		{"ok", "mutation{x}", status(200, `{"data":{"deleteIssue":{"clientMutationId":"a"}}}`), ClassNone},
		{"forbidden", "mutation{x}", status(200, `{"data":{"deleteIssue":null},"errors":[{"type":"FORBIDDEN","path":["deleteIssue"],"message":"Viewer not authorized to delete"}]}`), ClassPermission},
		{"not found", "mutation{x}", status(200, `{"data":null,"errors":[{"type":"NOT_FOUND","path":["deleteIssue"],"message":"Could not resolve to a node"}]}`), ClassNotFound},
		{"limited with 200", "mutation{x}", status(200, `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`), ClassLimited},
		{"broken mutation", "mutation{x}", status(200, `{"data":null,"errors":[{"message":"Something went wrong while executing your query."}]}`), ClassUnknown},
		{"broken query", "query{x}", status(200, `{"data":null,"errors":[{"message":"Something went wrong while executing your query."}]}`), ClassServer},
		{"syntax", "mutation{x", status(200, `{"errors":[{"message":"Parse error"}]}`), ClassValidation},
		{"no JSON to a mutation", " mutation{x}", status(200, `<html>`), ClassUnknown},
		{"502 to a mutation", "mutation{x}", status(502, ``), ClassUnknown},
		{"cut mutation", "mutation{x}", cut, ClassUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, test.step)
			var out map[string]any
			_, err := newClient(t, s.URL).GraphQL(t.Context(), test.query, map[string]any{"id": "I_1"}, &out, Write)
			if ClassOf(err) != test.class || (err == nil) != (test.class == ClassNone) {
				t.Fatalf("class %v, want %v: %v", ClassOf(err), test.class, err)
			}
			seen := s.requests()
			if len(seen) != 1 || seen[0].uri != "/graphql" || !strings.Contains(seen[0].body, `"variables":{"id":"I_1"}`) {
				t.Errorf("saw %+v", seen)
			}
			if e, ok := errors.AsType[*Error](err); ok && test.name == "forbidden" && (e.Fields[0].Field != "deleteIssue" || e.Fields[0].Code != "FORBIDDEN") {
				t.Errorf("fields %+v", e.Fields)
			}
			if test.name == "ok" && out["deleteIssue"] == nil {
				t.Errorf("out is %v", out)
			}
		})
	}
}

func TestGraphQLQueryIsRead(t *testing.T) {
	t.Parallel()
	s := newScript(t, status(502, ""), cut, status(200, `{"errors":[{"type":"RATE_LIMITED","message":"x"}]}`, "Retry-After", "0"), status(200, `{"data":{"a":1}}`))
	c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxWait = 20 * time.Second })
	var out struct{ A int }
	if _, err := c.GraphQL(t.Context(), "query{a}", nil, &out, Read); err != nil || out.A != 1 {
		t.Errorf("%v %v", out, err)
	}
}

func TestFieldErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, want string }{
		{`{"message":"Validation Failed","errors":[{"resource":"Issue","field":"assignees","code":"invalid","value":["a","b"]}]}`, `assignees: invalid: value ["a","b"]`},
		{`{"message":"Validation Failed","errors":[{"resource":"Issue","code":"custom","field":"title","message":"title is too long (maximum is 256 characters)"}]}`, `title: title is too long (maximum is 256 characters)`},
		{`{"message":"Validation Failed","errors":["plain words"]}`, `plain words`},
		{`{"message":"Validation Failed","errors":"one string"}`, `one string`},
		{`{"message":"Validation Failed","errors":[[1]]}`, `[1]`},
		{`{"message":"Validation Failed","errors":null}`, ``},
		{`{"message":"Problems parsing JSON"}`, ``},
	}
	for _, test := range tests {
		e := classify(422, http.Header{}, []byte(test.body), true)
		got := ""
		for _, f := range e.Fields {
			got += f.String()
		}
		if got != test.want || e.Class != ClassValidation {
			t.Errorf("%s\n gave %q, want %q", test.body, got, test.want)
		}
	}
	if e := classify(403, http.Header{}, []byte("<html>corporate proxy</html>"), true); e.Class != ClassPermission || !strings.Contains(e.Message, "not in GitHub's form") {
		t.Errorf("%v", e)
	}
}
