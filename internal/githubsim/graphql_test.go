package githubsim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

type gqlReply struct {
	Data   map[string]any
	Errors []struct {
		Type, Message string
		Path          []any
		Locations     []struct{ Line, Column int }
		Extensions    map[string]any
	}
}

func (c *client) graphql(query string, variables map[string]any) gqlReply {
	c.t.Helper()
	r := c.do(200, "POST", "/graphql", map[string]any{"query": query, "variables": variables})
	var out gqlReply
	if err := json.Unmarshal(r.body, &out); err != nil {
		c.t.Fatalf("%v: %s", err, r.body)
	}
	return out
}

func TestDeleteIssue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query     string
		variables func(id string) map[string]any
	}{
		"variable object": {
			`mutation Delete($input: DeleteIssueInput!) { deleteIssue(input: $input) { repository { nameWithOwner } } }`,
			func(id string) map[string]any {
				return map[string]any{"input": map[string]any{"issueId": id, "clientMutationId": "x"}}
			},
		},
		"variable id":      {`mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId } }`, func(id string) map[string]any { return map[string]any{"id": id} }},
		"inline":           {`mutation { deleteIssue(input: {issueId: "ID"}) { __typename } }`, func(string) map[string]any { return nil }},
		"alias, fragments": {`mutation { gone: deleteIssue(input: {issueId: "ID"}) { ...F ... on DeleteIssuePayload { r: repository { id } } } } fragment F on DeleteIssuePayload { clientMutationId }`, func(string) map[string]any { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := box(t)
			issue, err := c.sim.Issue("octavia/box", 1)
			if err != nil {
				t.Fatal(err)
			}
			got := c.graphql(strings.ReplaceAll(tc.query, "ID\"", issue.NodeID+"\""), tc.variables(issue.NodeID))
			if len(got.Errors) != 0 || len(got.Data) != 1 {
				t.Fatalf("answer %+v", got)
			}
			c.do(410, "GET", "/repos/octavia/box/issues/1", nil)
			again := c.graphql(`mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId } }`, map[string]any{"id": issue.NodeID})
			if len(again.Errors) != 1 || again.Errors[0].Type != "NOT_FOUND" || again.Data["deleteIssue"] != nil || again.Errors[0].Path[0] != "deleteIssue" {
				t.Errorf("a second time: %+v", again)
			}
		})
	}
}

func TestDeleteIssueRefused(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	issue, err := c.sim.Issue("octavia/box", 1)
	if err != nil {
		t.Fatal(err)
	}
	pusher, err := c.sim.AddUser("pusher", map[string]githubsim.Permission{"octavia/box": githubsim.Push})
	if err != nil {
		t.Fatal(err)
	}
	readOnly, err := c.sim.AddFineGrainedToken("octavia", nil, map[string]string{"issues": "read"})
	if err != nil {
		t.Fatal(err)
	}
	const query = `mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId } }`
	for _, token := range []string{pusher, readOnly} {
		got := c.as(token).graphql(query, map[string]any{"id": issue.NodeID})
		if len(got.Errors) != 1 || got.Errors[0].Type != "FORBIDDEN" || got.Errors[0].Locations[0].Line != 1 {
			t.Errorf("answer %+v", got)
		}
	}
	c.do(200, "GET", "/repos/octavia/box/issues/1", nil)
	c.as("").do(401, "POST", "/graphql", map[string]any{"query": query})
	for name, q := range map[string]string{
		"undefinedField":           `mutation { explode(input: {}) { x } }`,
		"missingRequiredArguments": `mutation { deleteIssue(input: {}) { clientMutationId } }`,
		"argumentNotAccepted":      `mutation { deleteIssue(input: {issueId: "x", force: true}) { clientMutationId } }`,
		"selectionMismatch":        `{ viewer }`,
		"undefinedField ":          `query { node(id: "ISSUE") { title } }`,
		"undefinedField  ":         `query { repository(owner: "octavia", name: "box") { issue(number: 1) { author { name } } } }`,
		"selectionMismatch ":       `{ viewer { login { x } } }`,
	} {
		got := c.graphql(strings.Replace(q, "ISSUE", issue.NodeID, 1), nil)
		if len(got.Errors) != 1 || got.Errors[0].Extensions["code"] != strings.TrimSpace(name) || got.Data != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, q := range []string{"{", "", "{ ...F } fragment F on Query { ...F }", "subscription { x }", query} {
		if got := c.graphql(q, nil); len(got.Errors) != 1 || got.Data != nil {
			t.Errorf("%q: %+v", q, got)
		}
	}
}

func TestGraphQLQueries(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	got := c.graphql(`query($n: Int = 1) { viewer { login } rateLimit { remaining resetAt }
		repository(owner: "octavia", name: "box") { viewerPermission issue(number: $n) { id fullDatabaseId title author { ... on Actor { login } } viewerCanDelete } } }`, nil)
	if len(got.Errors) != 0 {
		t.Fatalf("errors %+v", got.Errors)
	}
	want, err := c.sim.Issue("octavia/box", 1)
	if err != nil {
		t.Fatal(err)
	}
	repo := got.Data["repository"].(map[string]any)
	issue := repo["issue"].(map[string]any)
	if issue["id"] != want.NodeID || issue["title"] != "one" || repo["viewerPermission"] != "ADMIN" || issue["viewerCanDelete"] != true {
		t.Errorf("got %v", got.Data)
	}
	if missing := c.graphql(`{ repository(owner: "octavia", name: "nope") { id } }`, nil); len(missing.Errors) != 1 || missing.Errors[0].Type != "NOT_FOUND" {
		t.Errorf("a missing repository: %+v", missing)
	}
}
