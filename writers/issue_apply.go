package writers

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

func issuesPath(fullName string) string { return "repos/" + fullName + "/issues" }

func issuePath(fullName string, number int64) string {
	return issuesPath(fullName) + "/" + strconv.FormatInt(number, 10)
}

func issueName(fullName string, number int64) string {
	return fmt.Sprintf("issue %s#%d", fullName, number)
}

func (t issueTable) apply(ctx context.Context, r *run, p *Planned) error {
	switch p.Op {
	case Insert:
		return t.create(ctx, r, p)
	case Update:
		return t.update(ctx, r, p)
	}
	return t.delete(ctx, r, p)
}

// create posts the issue, and then carries out what POST does not take.
func (t issueTable) create(ctx context.Context, r *run, p *Planned) error {
	want := p.want.(*issueWant)
	doing := "creating an issue in " + p.FullName
	began := time.Now()
	resp, err := r.do(ctx, ghapi.Request{Method: http.MethodPost, Path: issuesPath(p.FullName), Body: createBody(p, want)})
	adopted := false
	switch {
	case ghapi.ClassOf(err) == ghapi.ClassUnknown:
		if err := t.adopt(ctx, r, p, began, refuse(doing, err)); err != nil {
			return err
		}
		adopted = true
	case err != nil:
		return refuse(doing, err)
	default:
		if err := r.hold(schema.Issue, resp.Body, p.RepositoryID, resp.StartedAt); err != nil {
			// A success that cannot be read names no issue to continue with.
			return t.adopt(ctx, r, p, began, unreadable(doing, err))
		}
		t.w.claim(r.res.Row.ID())
	}

	number, _ := r.res.Row.Get("number").(int64)
	name := issueName(p.FullName, number)
	stored := name + " was created"
	if adopted {
		stored += " (GitHub's answer got lost, the issue was found by its author, title and body)"
	}
	if err := t.dropped(p, want, r.res.Row, name, stored); err != nil {
		return err
	}
	if p.writes("state") {
		body := map[string]any{"state": want.state}
		if p.writes("state_reason") {
			body["state_reason"] = want.reason
		}
		if err := t.patch(ctx, r, p, r.res.Row.ID(), number, body); err != nil {
			return refuse("closing "+name, err).because(stored)
		}
	}
	if p.writes("locked") || p.writes("active_lock_reason") {
		if err := t.setLock(ctx, r, p, number); err != nil {
			return refuse("locking "+name, err).because(stored)
		}
	}
	return nil
}

// adopt looks for an issue whose creation was not answered. It never sends the
// create again.
func (t issueTable) adopt(ctx context.Context, r *run, p *Planned, began time.Time, lost *Refusal) error {
	// The caller may be gone; whoever cleans up after it needs to know.
	ctx, cancel := outlive(ctx)
	defer cancel()
	t.w.log.Warn("GitHub's answer to a create got lost, looking for the issue", "repository", p.FullName, "error", lost.Err)
	if e, ok := asError(lost.Err); ok && !e.StartedAt.IsZero() {
		began = e.StartedAt
	}
	found, err := r.settled(ctx, func() (bool, error) {
		found, err := t.findCreated(ctx, r, p, began)
		// Another statement of the same content may have found it first.
		return found && t.w.claim(r.res.Row.ID()), err
	})
	switch {
	case err != nil:
		return lost.because("Looking for the issue failed: " + refuse("", err).Detail)
	case !found:
		r.nothingAccepted(nil)
		return lost.because("No issue of this author, title and body has appeared in " + p.FullName + " since")
	}
	return nil
}

func createBody(p *Planned, want *issueWant) map[string]any {
	body := changedFields(p, want)
	// POST takes neither, and no null for a text.
	delete(body, "state")
	delete(body, "state_reason")
	return body
}

// changedFields is the JSON body that asks for the planned columns, without
// the lock.
func changedFields(p *Planned, want *issueWant) map[string]any {
	body := make(map[string]any, len(p.Columns))
	for _, column := range p.Columns {
		switch column {
		case "title":
			body["title"] = want.title
		case "body":
			body["body"] = want.body
		case "state":
			body["state"] = want.state
		case "state_reason":
			body["state_reason"] = want.reason
		case "labels":
			body["labels"] = want.labels
		case "assignees":
			body["assignees"] = want.assignees
		case "milestone_id":
			body["milestone"] = want.milestone
		}
	}
	return body
}

func (t issueTable) update(ctx context.Context, r *run, p *Planned) error {
	want := p.want.(*issueWant)
	name := issueName(p.FullName, p.Number)
	stored := ""
	if body := changedFields(p, want); len(body) > 0 {
		if err := t.patch(ctx, r, p, p.ID, p.Number, body); err != nil {
			return refuse("changing "+name, err)
		}
		stored = "The other changes of " + name + " were stored"
		if err := t.dropped(p, want, r.res.Row, name, stored); err != nil {
			return err
		}
	}
	if p.writes("locked") || p.writes("active_lock_reason") {
		doing := "unlocking "
		if want.locked {
			doing = "locking "
		}
		if err := t.setLock(ctx, r, p, p.Number); err != nil {
			return refuse(doing+name, err).because(stored)
		}
	}
	return nil
}

// patch sends one PATCH and holds its answer. If the answer got lost, it
// compares the issue with what was wanted: PATCH sets values, so sending it
// once more is safe when they are not there.
func (t issueTable) patch(ctx context.Context, r *run, p *Planned, id, number int64, body map[string]any) error {
	doing := "changing " + issueName(p.FullName, number)
	for attempt := 0; ; attempt++ {
		resp, err := r.do(ctx, ghapi.Request{Method: http.MethodPatch, Path: issuePath(p.FullName, number), Body: body})
		if err == nil {
			if err = r.hold(schema.Issue, resp.Body, p.RepositoryID, resp.StartedAt); err == nil {
				return r.sameIssue(id)
			}
			err = unreadable(doing, err)
		} else if ghapi.ClassOf(err) != ghapi.ClassUnknown {
			return err
		}
		lost := refuse(doing, err)
		applied, err := t.confirm(ctx, r, p, id, number, lost, func(row *schema.Row) bool { return fits(row, body) })
		if applied || err != nil {
			return err
		}
		if attempt > 0 || ctx.Err() != nil {
			return lost.because("The issue does not show the change so far")
		}
	}
}

// confirm reads the issue until it fits or the waits are used up. It returns
// lost, with the reason, when that cannot be found out.
func (t issueTable) confirm(ctx context.Context, r *run, p *Planned, id, number int64, lost *Refusal, fits func(*schema.Row) bool) (applied bool, err error) {
	ctx, cancel := outlive(ctx)
	defer cancel()
	if lost.Err != nil {
		t.w.log.Warn("GitHub's answer to a change got lost, looking at the issue", "repository", p.FullName, "number", number, "error", lost.Err)
	}
	at := place{p.RepositoryID, p.FullName, id, number}
	before := r.res.Row
	defer func() {
		if !applied {
			r.nothingAccepted(before)
		}
	}()
	applied, err = r.settled(ctx, func() (bool, error) {
		if err := t.fetch(ctx, r, at); err != nil {
			return false, err
		}
		return r.res.Row == nil || fits(r.res.Row), nil
	})
	if err != nil {
		return false, lost.because("Looking at the issue failed: " + refuse("", err).Detail)
	}
	if r.res.Row == nil && p.Op != Delete {
		return false, lost.because("The issue was deleted or transferred meanwhile")
	}
	return applied, nil
}

func unreadable(doing string, err error) *Refusal {
	return &Refusal{
		SQLSTATE: codeUnknown,
		Message:  "it is not known whether GitHub did this: " + doing,
		Detail:   joinSentences("GitHub reported success, but its answer makes no sense: " + err.Error()),
		Hint:     "Look at GitHub before you run the statement again; the mirror follows by itself.",
		Err:      err,
	}
}

// outlive bounds the search for an outcome, but lets it go on when the client
// that caused it has gone away: the ledger needs the answer.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}
