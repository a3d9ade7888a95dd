package writers

import (
	"context"
	"net/http"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// setLock locks or unlocks the issue and reads it afterwards, because GitHub
// answers 204 without the issue.
// https://docs.github.com/en/rest/issues/issues?apiVersion=2022-11-28#lock-an-issue
func (t issueTable) setLock(ctx context.Context, r *run, p *Planned, number int64) error {
	want := p.want.(*issueWant)
	id := p.ID
	if r.res.Row != nil {
		id = r.res.Row.ID()
	}
	name := issueName(p.FullName, number)
	path := issuePath(p.FullName, number) + "/lock"
	send := ghapi.Request{Method: http.MethodDelete, Path: path}
	if want.locked {
		send.Method = http.MethodPut
		if want.lockReason != "" {
			send.Body = map[string]string{"lock_reason": want.lockReason}
		}
	}
	fits := func(row *schema.Row) bool {
		reason, _ := row.Get("active_lock_reason").(string)
		return row.Get("locked") == want.locked && (!want.locked || reason == want.lockReason)
	}
	relocked := false
	for attempt := 0; ; attempt++ {
		_, err := r.do(ctx, send)
		if err != nil && ghapi.ClassOf(err) != ghapi.ClassUnknown {
			return err
		}
		lost := notShown(name)
		if err != nil {
			lost = refuse("changing the lock of "+name, err)
		}
		applied, confirmErr := t.confirm(ctx, r, p, id, number, lost, fits)
		switch {
		case applied || confirmErr != nil:
			return confirmErr
		case err == nil && want.locked && want.wasLocked && !relocked:
			// GitHub does not document what locking a locked issue does to
			// its reason. Taking the lock off first is certain.
			relocked = true
			if _, err := r.do(ctx, ghapi.Request{Method: http.MethodDelete, Path: path}); err != nil {
				return err
			}
		case err == nil || attempt > 0 || ctx.Err() != nil:
			return lost
		}
	}
}

func notShown(name string) *Refusal {
	return &Refusal{
		SQLSTATE: codeUnknown,
		Message:  "GitHub accepted the change of the lock of " + name + " but does not show it",
		Hint:     "Look at GitHub before you run the statement again; the mirror follows by itself.",
	}
}
