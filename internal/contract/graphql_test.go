package contract_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/githubsim"
)

// TestGraphQLFields asks for every field that GitHub's schema has on what the
// simulated GitHub knows. It may say that it does not have a field; what it
// answers must be of the schema's type.
func TestGraphQLFields(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	g, err := contract.LoadGraphQL()
	if err != nil {
		t.Fatal(err)
	}
	var repo, issue struct {
		NodeID string `json:"node_id"`
	}
	decode(t, c.do(200, "GET", rocket, nil).body, &repo)
	decode(t, c.do(200, "GET", rocket+"/issues/1", nil).body, &issue)
	answered := 0
	for _, at := range []struct{ kind, open, close string }{
		{"User", `{ viewer {`, `} }`},
		{"RateLimit", `{ rateLimit {`, `} }`},
		{"Repository", `{ repository(owner: "orbital-labs", name: "rocket") {`, `} }`},
		{"Issue", `{ repository(owner: "orbital-labs", name: "rocket") { issue(number: 2) {`, `} } }`},
		{"Issue", `{ node(id: "` + issue.NodeID + `") { __typename ... on Issue {`, `} } }`},
		{"Repository", `{ node(id: "` + repo.NodeID + `") { __typename ... on Repository {`, `} } }`},
	} {
		found := 0
		for _, field := range g.Selections(at.kind) {
			doc := at.open + " " + field + " " + at.close
			if err := g.Document(doc); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Errors []struct{ Message string }
			}
			decode(t, c.do(200, "POST", "/graphql", j{"query": doc}).body, &got)
			if len(got.Errors) == 0 {
				found++
			}
		}
		if found == 0 {
			t.Errorf("nothing of %s was answered", at.kind)
		}
		answered += found
	}
	fmt.Printf("contract: %d GraphQL fields answered by their types\n", answered)
}

// TestGraphQLDeletion deletes by every form of the mutation, and is refused.
func TestGraphQLDeletion(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	pusher, err := c.sim.AddUser("pusher", map[string]githubsim.Permission{"orbital-labs/rocket": githubsim.Push})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{
		`mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId } }`,
		`mutation Delete($id: ID!) { gone: deleteIssue(input: {issueId: $id, clientMutationId: "x"}) { __typename clientMutationId repository { id nameWithOwner } } }`,
	} {
		var of struct {
			NodeID string `json:"node_id"`
		}
		decode(t, c.do(201, "POST", rocket+"/issues", j{"title": "x"}).body, &of)
		ask := j{"query": doc, "variables": j{"id": of.NodeID}}
		for _, step := range []struct {
			token, kind string
		}{{pusher, "FORBIDDEN"}, {c.token, ""}, {c.token, "NOT_FOUND"}} {
			var got struct {
				Errors []struct{ Type string }
				Data   json.RawMessage
			}
			decode(t, c.as(step.token).do(200, "POST", "/graphql", ask).body, &got)
			kind := ""
			if len(got.Errors) > 0 {
				kind = got.Errors[0].Type
			}
			if kind != step.kind {
				t.Errorf("%s: error %q, want %q", doc, kind, step.kind)
			}
		}
	}
	// What GitHub's schema refuses, the simulated GitHub must not take.
	for _, doc := range []string{`{ viewer { nonsense } }`, `{ viewer }`, `mutation { deleteIssue(input: {}) { clientMutationId } }`, `{ rateLimit { remaining { x } } }`} {
		r := c.refused(200, "POST", "/graphql", j{"query": doc})
		if !strings.Contains(string(r.body), `"errors"`) {
			t.Errorf("%s was taken: %s", doc, r.body)
		}
	}
}

// TestGraphQLLimit meets the limit inside a 200.
func TestGraphQLLimit(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	c.sim.SetRemaining("octavia", "graphql", 0)
	if r := c.do(200, "POST", "/graphql", j{"query": `{ viewer { login } }`}); !strings.Contains(string(r.body), "RATE_LIMITED") {
		t.Errorf("answered %s", r.body)
	}
}
