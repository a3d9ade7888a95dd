package syncer

import (
	"fmt"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

// hookScenarios are histories of which webhooks tell all.
var hookScenarios = []struct {
	name   string
	change func(b *bundle, repo, other string)
}{
	{"issue opened, edited, closed, reopened", func(b *bundle, repo, _ string) {
		n := b.open(repo, map[string]any{"title": "A new one", "labels": []string{"brand new"}})
		b.edit(repo, n, map[string]any{"title": "An edited one", "body": "second"})
		b.edit(repo, n, map[string]any{"state": "closed", "state_reason": "not_planned"})
		b.edit(repo, n, map[string]any{"state": "open"})
	}},
	{"labels, assignees, milestone put on and taken off", func(b *bundle, repo, _ string) {
		m := b.call("POST", "repos/"+repo+"/milestones", map[string]any{"title": "Soon"})
		n := b.open(repo, map[string]any{"title": "Wanders about", "labels": []string{"one", "two"}})
		b.edit(repo, n, map[string]any{"milestone": m["number"], "assignees": []string{b.sim.Login()}, "labels": []string{"two", "three"}})
		b.edit(repo, n, map[string]any{"assignees": []string{}, "milestone": nil, "labels": []string{}})
		b.edit(repo, n, map[string]any{"labels": []string{"one"}})
	}},
	{"locked and unlocked", func(b *bundle, repo, _ string) {
		n := b.open(repo, map[string]any{"title": "Heated"})
		b.call("PUT", fmt.Sprintf("repos/%s/issues/%d/lock", repo, n), map[string]any{"lock_reason": "too heated"})
		b.call("DELETE", fmt.Sprintf("repos/%s/issues/%d/lock", repo, n), nil)
		b.call("PUT", fmt.Sprintf("repos/%s/issues/%d/lock", repo, n), map[string]any{"lock_reason": "resolved"})
	}},
	{"issue deleted", func(b *bundle, repo, _ string) {
		n := b.open(repo, map[string]any{"title": "Short-lived"})
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "goes too"})
		b.edit(repo, n, map[string]any{"title": "Shorter-lived"})
		b.must(b.sim.DeleteIssue(repo, n))
	}},
	{"issue transferred with its comments", func(b *bundle, repo, other string) {
		n := b.open(repo, map[string]any{"title": "Moves house", "labels": []string{"bug"}})
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "comes along"})
		moved, err := b.sim.TransferIssue(repo, n, other)
		b.must(err)
		b.edit(other, moved.Number, map[string]any{"title": "Settled"})
	}},
	{"issue transferred there and back", func(b *bundle, repo, other string) {
		n := b.open(repo, map[string]any{"title": "Restless"})
		moved, err := b.sim.TransferIssue(repo, n, other)
		b.must(err)
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", other, moved.Number), map[string]any{"body": "on the way"})
		_, err = b.sim.TransferIssue(other, moved.Number, repo)
		b.must(err)
	}},
	{"comments written, edited, deleted", func(b *bundle, repo, _ string) {
		n := b.open(repo, map[string]any{"title": "Discussed"})
		at := fmt.Sprintf("repos/%s/issues/%d/comments", repo, n)
		b.call("POST", at, map[string]any{"body": "stays"})
		c := b.call("POST", at, map[string]any{"body": "goes"})
		b.call("PATCH", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(c)), map[string]any{"body": "goes, edited \x00"})
		b.call("DELETE", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(c)), nil)
		b.call("POST", at, map[string]any{"body": "comes"})
	}},
	{"comments of a pull request", func(b *bundle, repo, _ string) {
		title := "A pull request"
		i, err := b.sim.CreateIssue(repo, "", githubsim.IssueEdit{Title: &title, PullRequest: true})
		b.must(err)
		at := fmt.Sprintf("repos/%s/issues/%d/comments", repo, i.Number)
		b.call("POST", at, map[string]any{"body": "stays"})
		b.call("DELETE", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(b.call("POST", at, map[string]any{"body": "goes"}))), nil)
	}},
	{"labels made, renamed, swapped, deleted", func(b *bundle, repo, _ string) {
		for _, name := range []string{"left", "right", "doomed"} {
			_, err := b.sim.CreateLabel(repo, name)
			b.must(err)
		}
		b.open(repo, map[string]any{"title": "Labelled", "labels": []string{"left", "doomed"}})
		b.must(b.sim.RenameLabel(repo, "left", "middle"))
		b.must(b.sim.RenameLabel(repo, "right", "left"))
		b.must(b.sim.RenameLabel(repo, "middle", "right"))
		b.must(b.sim.DeleteLabel(repo, "doomed"))
	}},
	{"milestones made, edited, closed, deleted", func(b *bundle, repo, _ string) {
		m := b.call("POST", "repos/"+repo+"/milestones", map[string]any{"title": "Kept"})
		doomed := b.call("POST", "repos/"+repo+"/milestones", map[string]any{"title": "Never"})
		b.open(repo, map[string]any{"title": "Was planned", "milestone": doomed["number"]})
		b.call("PATCH", fmt.Sprintf("repos/%s/milestones/%v", repo, m["number"]), map[string]any{"title": "Kept, edited", "state": "closed"})
		b.call("PATCH", fmt.Sprintf("repos/%s/milestones/%v", repo, m["number"]), map[string]any{"state": "open"})
		b.call("DELETE", fmt.Sprintf("repos/%s/milestones/%v", repo, doomed["number"]), nil)
	}},
}

func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestWebhooks: whatever the order, the mirror equals GitHub without any poll
// that the webhooks did not ask for; counts apart, which the next poll brings.
// Each order has a repository of its own; the last one is where issues go.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	for i, sc := range hookScenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b, _, h, repos := follow(t, githubsim.Config{Seed: 61, Repos: len(orders) + 1, Issues: 20})
			other := repos[len(orders)]
			for k, order := range orders {
				sc.change(b, repos[k], other)
				list := h.take()
				if len(list) < 2 {
					t.Fatalf("%d webhooks", len(list))
				}
				for _, out := range h.deliver(order.arrange(list, uint64(i))...) {
					if out.Event == "" || out.RepositoryID == 0 || out.Applied() && len(out.Rows) == 0 {
						t.Errorf("%s: %+v", order.name, out)
					}
				}
				b.eventually("the mirror equals GitHub when they come "+order.name, func() string {
					return b.differentBesidesCounts(repos[k]) + b.differentBesidesCounts(other)
				})
			}
			b.poll()
			b.same(repos...)
		})
	}
}
