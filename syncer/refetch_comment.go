package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

func (s *Syncer) refetchComment(ctx context.Context, args refetchArgs, tries int) error {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: refetchPath(args), NoRedirect: true})
	switch class := ghapi.ClassOf(err); {
	case err == nil:
		return s.storeOne(ctx, args.RepositoryID, issueComment, resp)
	case class != ghapi.ClassNotFound && class != ghapi.ClassGone && class != ghapi.ClassMoved:
		return err
	case tries == 0:
		return errHeld
	}
	// The list of the whole issue decides, or finds where the issue went.
	return s.Refetch(ctx, args.RepositoryID, args.Number)
}

// refetchComments compares the comments of one issue or pull request with
// GitHub's list.
func (s *Syncer) refetchComments(ctx context.Context, args refetchArgs) error {
	var listed []int64
	var startedAt time.Time
	err := s.api.Pages(ctx, ghapi.Request{Path: refetchPath(args) + "/comments", Query: query(), NoRedirect: true}, func(resp *ghapi.Response) error {
		if startedAt.IsZero() {
			startedAt = resp.StartedAt
		}
		var items []json.RawMessage
		if err := resp.Decode(&items); err != nil {
			return err
		}
		var objects []object
		if err := resp.Decode(&objects); err != nil {
			return err
		}
		for _, o := range objects {
			listed = append(listed, o.ID)
		}
		var out stored
		err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			out, err = s.store(ctx, tx, args.RepositoryID, issueComment, page{items, resp.StartedAt})
			return err
		})
		if err != nil {
			return err
		}
		return s.settleLate(ctx, args.RepositoryID, out.late, resp.StartedAt)
	})
	if err != nil {
		return fmt.Errorf("reading the comments of issue %d: %w", args.Number, err)
	}
	gone, undecided, err := s.missing(ctx, issueComment, args.RepositoryID, args.Number, listed, startedAt)
	if err != nil {
		return err
	}
	for _, id := range gone {
		err := inTx(ctx, s.pool, func(tx pgx.Tx) error {
			done, err := s.remove(ctx, tx, args.RepositoryID, schema.IssueComment, []int64{id})
			undecided = undecided || !done
			return err
		})
		if err != nil {
			return err
		}
	}
	if undecided {
		return errHeld
	}
	return nil
}
