package writers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// run is the work on one change: it counts requests and keeps what GitHub said
// last.
type run struct {
	w   *Writers
	res Result
}

// do sends a request with the priority of writes.
func (r *run) do(ctx context.Context, req ghapi.Request) (*ghapi.Response, error) {
	req.Priority = ghapi.Write
	r.res.Requests++
	resp, err := r.w.api.Do(ctx, req)
	r.note(resp, err)
	return resp, err
}

func (r *run) note(resp *ghapi.Response, err error) {
	id := ""
	if e, ok := errors.AsType[*ghapi.Error](err); ok {
		id = e.RequestID
	} else if resp != nil {
		id = resp.RequestID
	}
	if id != "" {
		r.res.RequestIDs = append(r.res.RequestIDs, id)
	}
}

// hold makes raw the state that GitHub holds.
func (r *run) hold(t *schema.Table, raw json.RawMessage, repositoryID int64, started time.Time) error {
	scope := schema.Scope{RepositoryID: repositoryID}
	row, err := t.Decode(raw, scope)
	if err != nil {
		return fmt.Errorf("reading GitHub's answer: %w", err)
	}
	referenced, err := t.Referenced(raw, scope)
	if err != nil {
		return fmt.Errorf("reading GitHub's answer: %w", err)
	}
	r.res.Row, r.res.Raw, r.res.Referenced, r.res.StartedAt = &row, raw, referenced, started
	r.res.Deleted = false
	return nil
}

// gone makes absence the state that GitHub holds.
func (r *run) gone() {
	r.res.Row, r.res.Raw, r.res.Referenced, r.res.Deleted = nil, nil, nil, true
}

// nothingAccepted forgets what was only looked at, so that a Row beside an
// error means that GitHub accepted a part. What an earlier request of the same
// change brought is kept, in its newest state.
func (r *run) nothingAccepted(before *schema.Row) {
	if before == nil {
		r.res.Row, r.res.Raw, r.res.Referenced, r.res.Deleted = nil, nil, nil, false
	}
}

// settled calls look until it is done, waiting in between, and returns false
// when it never was. An error of look ends the wait.
func (r *run) settled(ctx context.Context, look func() (done bool, err error)) (bool, error) {
	for i := 0; ; i++ {
		done, err := look()
		if err != nil || done || i >= len(r.w.settle) {
			return done, err
		}
		t := time.NewTimer(r.w.settle[i])
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false, context.Cause(ctx)
		}
	}
}

func asError(err error) (*ghapi.Error, bool) { return errors.AsType[*ghapi.Error](err) }
