package syncer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/pghub/pghub/internal/ghapi"
)

// commentsAt lists the ids of the comments of a transferred issue. Whether they
// keep their ids is not documented. None are listed of an issue that went where
// this credential cannot follow, or that is gone by now.
func (s *Syncer) commentsAt(ctx context.Context, t *transfer) (ids []int64, err error) {
	path := refetchPath(refetchArgs{RepositoryID: t.repositoryID, Number: t.number}) + "/comments"
	err = s.api.Pages(ctx, ghapi.Request{Path: path, Query: query(), NoRedirect: true}, func(resp *ghapi.Response) error {
		var list []object
		err := resp.Decode(&list)
		for _, o := range list {
			ids = append(ids, o.ID)
		}
		return err
	})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassNotFound, ghapi.ClassGone, ghapi.ClassPermission, ghapi.ClassMoved:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the comments of a transferred issue: %w", err)
	}
	return ids, nil
}

// transfer is where an issue went.
type transfer struct {
	repositoryID, number int64
}

// issueByID is how GitHub names the new place of an issue.
var issueByID = regexp.MustCompile(`/repositories/([0-9]+)/issues/([0-9]+)$`)

// transferred confirms that a redirect leads to another repository.
func (s *Syncer) transferred(ctx context.Context, args refetchArgs, cause error) (*transfer, error) {
	e, ok := errors.AsType[*ghapi.Error](cause)
	if !ok || e.Location == "" || e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusFound {
		return nil, cause
	}
	if m := issueByID.FindStringSubmatch(e.Location); m != nil {
		home, err1 := strconv.ParseInt(m[1], 10, 64)
		number, err2 := strconv.ParseInt(m[2], 10, 64)
		if err1 == nil && err2 == nil && home != args.RepositoryID {
			return &transfer{home, number}, nil
		}
	}
	resp, err := s.api.Do(ctx, ghapi.Request{Path: e.Location})
	if err != nil {
		return nil, fmt.Errorf("following issue %d to where it moved: %w", args.Number, err)
	}
	var o struct {
		Number        int64  `json:"number"`
		RepositoryURL string `json:"repository_url"`
	}
	if err := resp.Decode(&o); err != nil {
		return nil, err
	}
	if resp, err = s.api.Do(ctx, ghapi.Request{Path: o.RepositoryURL}); err != nil {
		return nil, fmt.Errorf("reading the repository that issue %d moved to: %w", args.Number, err)
	}
	var home object
	if err := resp.Decode(&home); err != nil {
		return nil, err
	}
	if home.ID == 0 || home.ID == args.RepositoryID {
		return nil, fmt.Errorf("issue %d of repository %d is redirected within its own repository: %w", args.Number, args.RepositoryID, cause)
	}
	return &transfer{home.ID, o.Number}, nil
}

// follow reads a transferred issue where it is now, if that is mirrored.
func (s *Syncer) follow(ctx context.Context, t *transfer) error {
	p, err := load(ctx, s.pool, t.repositoryID, issue.name)
	if errors.Is(err, errNotFollowed) || err == nil && !p.Backfilled {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Refetch(ctx, t.repositoryID, t.number)
}
