package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/githubsim"
)

// sentEvents are the events that the simulated GitHub can send.
var sentEvents = []string{
	"issue-comment-created", "issue-comment-deleted", "issue-comment-edited",
	"issues-assigned", "issues-closed", "issues-deleted", "issues-demilestoned", "issues-edited", "issues-labeled", "issues-locked",
	"issues-milestoned", "issues-opened", "issues-reopened", "issues-transferred", "issues-typed", "issues-unassigned", "issues-unlabeled",
	"issues-unlocked", "issues-untyped",
	"label-created", "label-deleted", "label-edited",
	"milestone-closed", "milestone-created", "milestone-deleted", "milestone-edited", "milestone-opened",
	"repository-archived", "repository-created", "repository-deleted", "repository-privatized", "repository-publicized", "repository-renamed",
	"repository-transferred", "repository-unarchived",
}

func webhooks(t *testing.T) *contract.Webhooks {
	t.Helper()
	contract.Need(t)
	w, err := contract.LoadWebhooks()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// receiver compares each delivery with the description.
type receiver struct {
	t        *testing.T
	webhooks *contract.Webhooks
	mu       sync.Mutex
	faults   []contract.Fault
	got      map[string]int
	last     chan struct{} // closed when the label "the end" was created
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	event := req.Header.Get("X-GitHub-Event")
	faults, err := r.webhooks.Check(event, req.Header, body)
	if err != nil {
		r.t.Error(err)
	}
	_, action, _ := strings.Cut(string(body), `"action":"`)
	action, _, _ = strings.Cut(action, `"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, faults...)
	r.got[strings.ReplaceAll(event+"-"+action, "_", "-")]++
	w.WriteHeader(http.StatusAccepted)
	if event == "label" && strings.Contains(string(body), `"name":"the end"`) {
		close(r.last)
	}
}

// TestWebhookEvents has every kind of event sent, in organisations and for users,
// with everything that may be null both null and there.
func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	r := &receiver{t: t, webhooks: webhooks(t), got: map[string]int{}, last: make(chan struct{})}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	c.sim.SetWebhook(server.URL, "secret")
	for _, repo := range []string{rocket, dotfiles} {
		everything(t, c, repo)
	}
	name := func(path string) string { return strings.TrimPrefix(path, "/repos/") }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	issue := c.do(201, "POST", rocket+"/issues", j{"title": "to transfer", "labels": []string{"bug"}, "milestone": 1})
	_, err := c.sim.TransferIssue(name(rocket), issue.number(t), name(dotfiles))
	must(err)
	title := "ghost"
	nobody, err := c.sim.CreateIssue(name(rocket), "", githubsim.IssueEdit{Title: &title, NullUser: true})
	must(err)
	must(c.sim.DeleteIssue(name(rocket), nobody.Number))
	off, on := false, true
	for _, repo := range []string{name(rocket), name(dotfiles)} {
		must(c.sim.SetRepository(repo, githubsim.RepositorySettings{Private: &on, Archived: &on}))
		must(c.sim.SetRepository(repo, githubsim.RepositorySettings{Private: &off, Archived: &off}))
	}
	must(c.sim.RenameRepository(name(rocket), "orbital-labs/missile"))
	must(c.sim.RenameRepository("orbital-labs/missile", "octavia/missile"))
	must(c.sim.RenameRepository(name(dotfiles), "orbital-labs/dots"))
	_, err = c.sim.CreateRepository("octavia/new", true)
	must(err)
	must(c.sim.DeleteRepository("octavia/new"))
	must(c.sim.DeleteRepository("orbital-labs/dots"))
	_, err = c.sim.CreateLabel("octavia/missile", "the end")
	must(err)
	select {
	case <-r.last:
	case <-t.Context().Done():
		t.Fatal("the last event did not come")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	contract.Report(t, r.faults)
	for _, name := range sentEvents {
		if r.got[name] == 0 {
			t.Errorf("no %s was sent", name)
		}
	}
	for name := range r.got {
		if !slices.Contains(sentEvents, name) {
			t.Errorf("%s was sent and is not in the list", name)
		}
	}
}

// everything does in one repository what is told by events of issues, comments,
// labels and milestones.
func everything(t *testing.T, c *client, repo string) {
	t.Helper()
	issue := fmt.Sprintf("%s/issues/%d", repo, c.do(201, "POST", repo+"/issues", j{"title": "bare"}).number(t))
	full := c.do(201, "POST", repo+"/issues", j{"title": "full 😀", "body": "b", "labels": []string{"bug", "newly made"}, "assignees": []string{"octavia"}})
	m := fmt.Sprintf("%s/milestones/%d", repo, c.do(201, "POST", repo+"/milestones", j{"title": "m"}).number(t))
	number := c.do(200, "GET", m, nil).number(t)
	edits := []j{
		{"title": "edited", "body": "from null"}, {"body": "again"}, {"title": "both", "body": nil}, {"labels": []string{"bug", "other"}}, {"labels": []string{}},
		{"assignees": []string{"octavia"}}, {"assignees": []string{}}, {"milestone": number}, {"milestone": nil},
		{"state": "closed"}, {"state": "open"}, {"state": "closed", "state_reason": "duplicate"}, {"state": "open", "state_reason": "reopened"},
	}
	if repo == rocket { // only organisations have types
		edits = append(edits, j{"type": "Bug"}, j{"type": nil})
	}
	for _, edit := range edits {
		c.do(200, "PATCH", issue, edit)
	}
	c.do(204, "PUT", issue+"/lock", j{"lock_reason": "spam"})
	c.do(204, "DELETE", issue+"/lock", nil)
	c.do(204, "PUT", issue+"/lock", nil)
	comment := fmt.Sprintf("%s/issues/comments/%d", repo, c.do(201, "POST", issue+"/comments", j{"body": "hi"}).id(t))
	c.do(200, "PATCH", comment, j{"body": "edited"})
	c.do(204, "DELETE", comment, nil)
	c.do(201, "POST", repo+"/labels", j{"name": "l", "color": "ff0000"})
	c.do(200, "PATCH", repo+"/labels/l", j{"new_name": "k", "color": "00ff00", "description": "was none"})
	c.do(200, "PATCH", repo+"/labels/k", j{"description": "again"})
	c.do(204, "DELETE", repo+"/labels/k", nil)
	for _, edit := range []j{
		{"title": "n", "description": "was none", "due_on": "2027-02-02T00:00:00Z"}, {"due_on": "2027-03-03T00:00:00Z"}, {"state": "closed"}, {"state": "open"},
	} {
		c.do(200, "PATCH", m, edit)
	}
	c.do(204, "DELETE", m, nil)
	var of struct {
		NodeID string `json:"node_id"`
	}
	decode(t, full.body, &of)
	c.do(200, "POST", "/graphql", j{
		"query":     `mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId repository { nameWithOwner } } }`,
		"variables": j{"id": of.NodeID},
	})
}
