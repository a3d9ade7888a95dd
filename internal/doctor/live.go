package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

// LivePlan says in one sentence what Live does in a repository, for the question
// that comes before it.
func LivePlan(repository string) string {
	return fmt.Sprintf("This makes two issues, a label and a comment in %s, changes, locks and closes them, and removes them again "+
		"(issues that may not be deleted stay, closed). People who watch the repository are notified.", repository)
}

// cleanUpTime bounds the removal of what Live made, however Live ended.
const cleanUpTime = 2 * time.Minute

// Live tries in a scratch repository what pghub relies on, by the writers that
// the proxy uses where they have the operation. It writes; ask first. What it
// made it removes, even when ctx ends.
func Live(ctx context.Context, api *ghapi.Client, name string, r *Report) {
	try(ctx, api, name, r, []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second})
}

func try(ctx context.Context, api *ghapi.Client, name string, r *Report, patience []time.Duration) {
	repo, ok := look(ctx, api, name, r)
	if !ok {
		return
	}
	if repo.Archived || repo.HasIssues != nil && !*repo.HasIssues {
		r.fail(name, "name a repository that is not archived and has its issues switched on", "nothing can be tried in it")
		return
	}
	judge(repo, r)
	l := &live{api: api, r: r, repo: repo, patience: patience, tag: strings.ToLower(rand.Text()[:8])}
	l.writers = writers.New(api, l, writers.WithLogger(slog.New(slog.DiscardHandler)))
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		l.cleanUp(clean)
	}()
	first := l.create(ctx)
	if first == nil {
		return
	}
	l.update(ctx, first)
	l.closeAndReopen(ctx, first)
	l.lock(ctx, first)
	l.comment(ctx, first)
	l.renameLabel(ctx, first)
	l.refused(ctx)
	l.second(ctx)
	l.paging(ctx)
	l.conditional(ctx, first)
}

// live is one run.
type live struct {
	api     *ghapi.Client
	r       *Report
	repo    repository
	writers *writers.Writers
	// patience holds the waits of eventually: reads may lag behind writes.
	patience []time.Duration
	// tag is in the name of everything that this run makes.
	tag    string
	label  string // empty when there is none
	issues []*schema.Row
}

// Repository answers the writers' question for the only repository there is.
func (l *live) Repository(_ context.Context, id int64) (string, error) {
	if id != l.repo.ID {
		return "", writers.ErrNotFound
	}
	return l.repo.FullName, nil
}

// Milestone answers that there are none.
func (l *live) Milestone(context.Context, int64) (int64, int, error) {
	return 0, 0, writers.ErrNotFound
}

// path is below the repository, by its id.
func (l *live) path(format string, args ...any) string {
	return fmt.Sprintf("repositories/%d/", l.repo.ID) + fmt.Sprintf(format, args...)
}

func (l *live) send(ctx context.Context, method, path string, body any) (*ghapi.Response, error) {
	return l.api.Do(ctx, ghapi.Request{Method: method, Path: path, Body: body, Priority: ghapi.Write})
}

// write makes one change through the writers and returns GitHub's row. What
// GitHub holds after an error is returned beside it.
func (l *live) write(ctx context.Context, op writers.Op, old *schema.Row, change map[string]any) (*schema.Row, error) {
	c := writers.Change{Table: schema.Issue.Name, Op: op, New: map[string]json.RawMessage{}}
	for column, value := range change {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", column, err)
		}
		c.New[column] = raw
	}
	if op == writers.Delete {
		c.New = nil
	}
	if old != nil {
		raw, err := old.JSON()
		if err == nil {
			err = json.Unmarshal(raw, &c.Old)
		}
		if err != nil {
			return nil, fmt.Errorf("encoding the issue: %w", err)
		}
		delete(c.Old, "payload")
	}
	p, err := l.writers.Check(ctx, c)
	if err != nil {
		return nil, err
	}
	result, err := l.writers.Apply(ctx, p)
	if result.Row != nil && old != nil {
		*old = *result.Row
	}
	if result.Row != nil && old == nil {
		l.issues = append(l.issues, result.Row)
	}
	return result.Row, err
}

// hint is what a refusal proposes.
func hint(err error) string {
	if refusal, ok := errors.AsType[*writers.Refusal](err); ok && refusal.Hint != "" {
		return refusal.Hint
	}
	return permissionFix(err)
}

// eventually repeats a read until it shows what a write did, and returns how
// many looks that took. The last error or ctx's ends it.
func (l *live) eventually(ctx context.Context, look func() (bool, error)) (looks int, err error) {
	for ; ; looks++ {
		done, err := look()
		if done || looks == len(l.patience) {
			return looks + 1, err
		}
		timer := time.NewTimer(l.patience[looks])
		select {
		case <-ctx.Done():
			timer.Stop()
			return looks + 1, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// cleanUp removes what this run made and says what it could not remove.
func (l *live) cleanUp(ctx context.Context) {
	l.remove(ctx)
	if l.label == "" {
		return
	}
	_, err := l.send(ctx, http.MethodDelete, l.path("labels/%s", url.PathEscape(l.label)), nil)
	if err != nil && ghapi.ClassOf(err) != ghapi.ClassNotFound {
		l.r.fail("clean up", fmt.Sprintf("delete the label %q of %s by hand", l.label, l.repo.FullName), "the label stays: %v", err)
		return
	}
	l.r.ok("clean up", "the label %q is deleted", l.label)
}

// remove deletes the issues as DELETE FROM issue does, and closes those that may
// not be deleted.
func (l *live) remove(ctx context.Context) {
	const what = "delete"
	for _, row := range l.issues {
		number, place := row.Get("number"), row.Get("html_url")
		_, err := l.write(ctx, writers.Delete, row, nil)
		if err == nil {
			l.gone(ctx, number)
			continue
		}
		l.r.warn(what, hint(err), "issue %v cannot be deleted (GraphQL deleteIssue): %v", number, err)
		if row.Get("state") == "closed" {
			continue
		}
		if _, err := l.write(ctx, writers.Update, row, map[string]any{"state": "closed", "state_reason": "not_planned"}); err != nil {
			l.r.fail("clean up", fmt.Sprintf("close %v by hand", place), "it cannot be closed either: %v", err)
			continue
		}
		l.r.ok("clean up", "issue %v stays, closed: %v", number, place)
	}
}

// gone sees that a deleted issue answers as the syncer expects.
func (l *live) gone(ctx context.Context, number any) {
	const what = "delete"
	var class ghapi.Class
	_, err := l.eventually(ctx, func() (bool, error) {
		_, err := l.api.Do(ctx, ghapi.Request{Path: l.path("issues/%v", number), Priority: ghapi.Write})
		class = ghapi.ClassOf(err)
		return class == ghapi.ClassGone || class == ghapi.ClassNotFound, err
	})
	switch class {
	case ghapi.ClassGone, ghapi.ClassNotFound:
		l.r.ok(what, "issue %v is deleted; GitHub answers %s from now on", number, class)
	default:
		l.r.warn(what, "none: sweeps find it later", "issue %v was deleted but is still shown (%v)", number, err)
	}
}
