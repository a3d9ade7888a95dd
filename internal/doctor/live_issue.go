package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

// text holds what gets lost where encodings are wrong.
const text = "Made by pghub doctor --live-test.\n\n\"quotes\", 'both', back\\slash, <b>&amp;</b>, emoji 😀, ümläüt, https://example.com/a%20b"

// create makes the label and the first issue. The label's name must be escaped
// in paths: # would otherwise begin a fragment.
func (l *live) create(ctx context.Context) *schema.Row {
	const what = "create"
	name := fmt.Sprintf("pghub #%s/é", l.tag)
	if _, err := l.send(ctx, http.MethodPost, l.path("labels"), map[string]any{"name": name, "color": "ededed"}); err != nil {
		l.r.warn("label", permissionFix(err), "no label can be made, the rest is tried without: %v", err)
	} else {
		l.label = name
	}
	want := map[string]any{"repository_id": l.repo.ID, "title": "pghub live test " + l.tag, "body": text}
	if l.label != "" {
		want["labels"] = []string{l.label}
	}
	row, err := l.write(ctx, writers.Insert, nil, want)
	switch {
	case err != nil && row == nil:
		l.r.fail(what, hint(err), "no issue can be made: %v", err)
		return nil
	case err != nil:
		l.r.warn(what, hint(err), "issue %v is made, but not as asked: %v", row.Get("number"), err)
	case row.Get("title") != want["title"] || row.Get("body") != want["body"]:
		l.r.fail(what, "report it to pghub with this output", "issue %v has title %q and body %q", row.Get("number"), row.Get("title"), row.Get("body"))
	case l.label == "":
		l.r.ok(what, "issue %v is made as asked: %v", row.Get("number"), row.Get("html_url"))
	default:
		l.r.ok(what, "issue %v is made as asked, with its label: %v", row.Get("number"), row.Get("html_url"))
	}
	l.lag(ctx, row)
	return row
}

// lag tells how soon a write shows in reads.
func (l *live) lag(ctx context.Context, row *schema.Row) {
	const what = "read after write"
	began := time.Now()
	looks, err := l.eventually(ctx, func() (bool, error) {
		resp, err := l.api.Do(ctx, ghapi.Request{Path: l.path("issues/%v", row.Get("number")), Priority: ghapi.Write})
		if err != nil {
			return false, err
		}
		seen, err := schema.Issue.Decode(resp.Body, schema.Scope{RepositoryID: l.repo.ID})
		return err == nil && seen.ID() == row.ID(), err
	})
	switch {
	case err != nil:
		l.r.fail(what, permissionFix(err), "issue %v cannot be read: %v", row.Get("number"), err)
	case looks > 1:
		l.r.ok(what, "the issue could be read after %s", time.Since(began).Round(100*time.Millisecond))
	default:
		l.r.ok(what, "the issue could be read at once")
	}
}

// changed makes one update and compares GitHub's answer with what was asked.
func (l *live) changed(ctx context.Context, what, done string, issue *schema.Row, change map[string]any) bool {
	row, err := l.write(ctx, writers.Update, issue, change)
	if err != nil {
		l.r.fail(what, hint(err), "%v", err)
		return false
	}
	if row == nil {
		l.r.fail(what, "report it to pghub with this output", "the writers found nothing to change")
		return false
	}
	for column, want := range change {
		if got := row.Get(column); got != want {
			l.r.fail(what, "report it to pghub with this output", "%s is %v in GitHub's answer, %v was asked for", column, got, want)
			return false
		}
	}
	l.r.ok(what, "%s", done)
	return true
}

func (l *live) update(ctx context.Context, issue *schema.Row) {
	l.changed(ctx, "update", "title and body are changed", issue, map[string]any{"title": "pghub live test " + l.tag + ", changed", "body": text + "\n\nChanged."})
	l.changed(ctx, "update", "the body is removed", issue, map[string]any{"body": nil})
}

func (l *live) closeAndReopen(ctx context.Context, issue *schema.Row) {
	if l.changed(ctx, "close", "closed as not planned", issue, map[string]any{"state": "closed", "state_reason": "not_planned"}) {
		l.changed(ctx, "reopen", "open again", issue, map[string]any{"state": "open"})
	}
}

func (l *live) lock(ctx context.Context, issue *schema.Row) {
	if l.changed(ctx, "lock", "locked as resolved", issue, map[string]any{"locked": true, "active_lock_reason": "resolved"}) {
		l.changed(ctx, "unlock", "unlocked", issue, map[string]any{"locked": false, "active_lock_reason": nil})
	}
}

// comment writes, changes and deletes a comment; the writers have no comments yet.
//
// https://docs.github.com/en/rest/issues/comments
func (l *live) comment(ctx context.Context, issue *schema.Row) {
	const what = "comment"
	resp, err := l.send(ctx, http.MethodPost, l.path("issues/%v/comments", issue.Get("number")), map[string]any{"body": text})
	var row schema.Row
	if err == nil {
		row, err = schema.IssueComment.Decode(resp.Body, schema.Scope{RepositoryID: l.repo.ID})
	}
	if err != nil {
		l.r.warn(what, permissionFix(err), "comments cannot be written: %v", err)
		return
	}
	at := l.path("issues/comments/%d", row.ID())
	if resp, err = l.send(ctx, http.MethodPatch, at, map[string]any{"body": "changed"}); err == nil {
		row, err = schema.IssueComment.Decode(resp.Body, schema.Scope{RepositoryID: l.repo.ID})
	}
	if err == nil && (row.Get("body") != "changed" || row.Get("issue_number") != issue.Get("number")) {
		err = fmt.Errorf("GitHub answered a comment of issue %v with body %q", row.Get("issue_number"), row.Get("body"))
	}
	if err != nil {
		l.r.warn(what, permissionFix(err), "a comment cannot be changed: %v", err)
	}
	if _, gone := l.send(ctx, http.MethodDelete, at, nil); gone != nil {
		l.r.warn(what, fmt.Sprintf("delete %v by hand", row.Get("html_url")), "a comment cannot be deleted: %v", gone)
	} else if err == nil {
		l.r.ok(what, "written, changed and deleted")
	}
}

// renameLabel: issues show the new name at once and keep their updated_at, which
// is why the mirror renames the entries itself.
func (l *live) renameLabel(ctx context.Context, issue *schema.Row) {
	const what = "label"
	if l.label == "" {
		return
	}
	read := func() (schema.Row, error) {
		resp, err := l.api.Do(ctx, ghapi.Request{Path: l.path("issues/%v", issue.Get("number")), Priority: ghapi.Write})
		if err != nil {
			return schema.Row{}, err
		}
		return schema.Issue.Decode(resp.Body, schema.Scope{RepositoryID: l.repo.ID})
	}
	then, err := read() // what came before, a comment say, has moved updated_at
	if err != nil {
		l.r.fail(what, permissionFix(err), "reading the issue before its label is renamed: %v", err)
		return
	}
	name := l.label + " ?"
	if _, err := l.send(ctx, http.MethodPatch, l.path("labels/%s", url.PathEscape(l.label)), map[string]any{"new_name": name}); err != nil {
		l.r.warn(what, permissionFix(err), "a label cannot be renamed: %v", err)
		return
	}
	l.label = name
	var now schema.Row
	_, err = l.eventually(ctx, func() (bool, error) {
		var err error
		if now, err = read(); err != nil {
			return false, err
		}
		names, _ := now.Get("labels").([]string)
		return slices.Contains(names, name), nil
	})
	names, _ := now.Get("labels").([]string)
	had, _ := issue.Get("labels").([]string)
	switch {
	case err != nil:
		l.r.fail(what, permissionFix(err), "reading the issue of a renamed label: %v", err)
	case len(had) == 0:
		l.r.ok(what, "made and renamed")
	case !slices.Contains(names, name):
		l.r.fail(what, "report it to pghub with this output", "the issue does not show the label's new name, it has %q", names)
	case now.Get("updated_at") != then.Get("updated_at"):
		l.r.warn(what, "report it to pghub with this output", "renaming a label moved its issue's updated_at, which GitHub did not do so far")
	default:
		l.r.ok(what, "renamed; its issue shows the new name and keeps its updated_at")
	}
}

// second makes another issue, so that there are two pages.
func (l *live) second(ctx context.Context) {
	row, err := l.write(ctx, writers.Insert, nil, map[string]any{"repository_id": l.repo.ID, "title": "pghub live test " + l.tag + ", second"})
	if err != nil {
		l.r.fail("create", hint(err), "no second issue can be made: %v", err)
		return
	}
	l.r.ok("create", "issue %v is made, with a title alone", row.Get("number"))
}
