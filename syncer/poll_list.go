package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
)

// pollList reads a list that has no order of change as a whole: conditionally
// first, and in full when any of its pages is new.
func (s *Syncer) pollList(ctx context.Context, c *collection, repositoryID int64) error {
	p, err := load(ctx, s.pool, repositoryID, c.name)
	if err != nil || !p.Backfilled {
		return err
	}
	first, same, err := s.unchanged(ctx, p.Cursor.Pages)
	if err != nil {
		return fmt.Errorf("asking whether the list of %s changed: %w", c.name, err)
	}
	if same {
		return p.save(ctx, s.pool)
	}
	list, tags, err := s.readList(ctx, c, repositoryID, first)
	if ghapi.ClassOf(err) == ghapi.ClassGone {
		return p.save(ctx, s.pool)
	}
	if err != nil {
		return fmt.Errorf("reading the list of %s: %w", c.name, err)
	}
	gone, undecided, err := s.vanished(ctx, c, repositoryID, list)
	if err != nil {
		return err
	}
	var late []stored
	err = inTx(ctx, s.pool, func(tx pgx.Tx) error {
		late = nil
		// The counts of a full list are exact.
		now, err := load(ctx, tx, repositoryID, c.name)
		if err != nil {
			return err
		}
		now.Rows = 0
		for _, pg := range list {
			out, err := s.store(ctx, tx, repositoryID, c, pg)
			if err != nil {
				return err
			}
			now.Rows += out.rows
			late = append(late, out)
		}
		for _, id := range gone {
			done, err := s.remove(ctx, tx, repositoryID, c.table, []int64{id})
			if err != nil {
				return err
			}
			undecided = undecided || !done
		}
		now.Cursor.Pages = tags
		if undecided {
			// Without tags the next poll reads the whole list again.
			now.Cursor.Pages = nil
		}
		return now.save(ctx, tx)
	})
	if err != nil {
		return err
	}
	for i, out := range late {
		if err := s.settleLate(ctx, repositoryID, out.late, list[i].fetchedAt); err != nil {
			return err
		}
	}
	return nil
}

// unchanged asks for each page of the last complete list whether it is still
// the same. When the first one is not, its answer is returned for use.
func (s *Syncer) unchanged(ctx context.Context, pages []pageTag) (first *ghapi.Response, same bool, err error) {
	if len(pages) == 0 || pages[len(pages)-1].Full {
		return nil, false, nil
	}
	for i, known := range pages {
		resp, err := s.api.Do(ctx, ghapi.Request{Path: known.URL, IfNoneMatch: known.ETag})
		switch {
		case err != nil && isAbsolute(known.URL) && staleLink(err):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		case !resp.NotModified && i == 0:
			return resp, false, nil
		case !resp.NotModified:
			return nil, false, nil
		}
	}
	return nil, true, nil
}

// mostPages bounds a list that never ends.
const mostPages = 1000

// readList reads all pages. Its first may be at hand already.
func (s *Syncer) readList(ctx context.Context, c *collection, repositoryID int64, first *ghapi.Response) (list []page, tags []pageTag, err error) {
	next := c.scanFrom(repositoryID)
	for next != "" {
		if len(list) == mostPages {
			return nil, nil, fmt.Errorf("the list has more than %d pages", mostPages)
		}
		resp := first
		if first = nil; resp == nil {
			if resp, err = s.api.Do(ctx, ghapi.Request{Path: next}); err != nil {
				return nil, nil, err
			}
		}
		var items []json.RawMessage
		if err := resp.Decode(&items); err != nil {
			return nil, nil, err
		}
		list = append(list, page{items, resp.StartedAt})
		if resp.ETag != "" {
			tags = append(tags, pageTag{URL: next, ETag: resp.ETag, Full: len(items) >= perPage})
		}
		next = resp.Next
	}
	if len(tags) < len(list) {
		tags = nil
	}
	return list, tags, nil
}

// vanished finds rows of the mirror that a complete list does not hold, and
// asks GitHub for each by itself: lists can be stale, and one that spans
// several pages can lose an object between them. What was seen only just now
// stays undecided.
func (s *Syncer) vanished(ctx context.Context, c *collection, repositoryID int64, list []page) (gone []int64, undecided bool, err error) {
	if len(list) == 0 {
		return nil, false, nil
	}
	var listed []int64
	for _, pg := range list {
		for _, raw := range pg.items {
			var o struct {
				ID int64 `json:"id"`
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				return nil, false, fmt.Errorf("decoding an object of the %s list: %w", c.name, err)
			}
			listed = append(listed, o.ID)
		}
	}
	return s.missing(ctx, c, repositoryID, 0, listed, list[0].fetchedAt)
}

// missing confirms which rows of a repository (with a number: of one issue in
// it) are not listed and do not exist at GitHub either.
func (s *Syncer) missing(ctx context.Context, c *collection, repositoryID, number int64, listed []int64, fetchedAt time.Time) (gone []int64, undecided bool, err error) {
	if listed == nil {
		listed = []int64{} // nil would be NULL, and nothing missing from it
	}
	args := []any{repositoryID, listed, time.Since(fetchedAt) + s.tune.settle}
	within := ""
	if number != 0 {
		within, args = "AND issue_number = $4", append(args, number)
	}
	// Ages rather than times are compared: the clocks of this machine and of
	// the database need not agree.
	sql := fmt.Sprintf(`
SELECT id, %s::text AS key, synced_at < clock_timestamp() - $3::interval AS settled
  FROM github.%s WHERE repository_id = $1 AND id <> ALL ($2) %s ORDER BY id`,
		pgx.Identifier{c.key}.Sanitize(), pgx.Identifier{c.name}.Sanitize(), within)
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, false, fmt.Errorf("comparing %s with GitHub's list: %w", c.name, err)
	}
	type candidate struct {
		ID      int64
		Key     string
		Settled bool
	}
	candidates, err := pgx.CollectRows(rows, pgx.RowToStructByName[candidate])
	if err != nil {
		return nil, false, fmt.Errorf("comparing %s with GitHub's list: %w", c.name, err)
	}
	for _, row := range candidates {
		if !row.Settled {
			undecided = true
			continue
		}
		exists, err := s.exists(ctx, c, repositoryID, row.ID, row.Key)
		if err != nil {
			return nil, false, fmt.Errorf("looking for a row of %s that GitHub does not list: %w", c.name, err)
		}
		if exists {
			undecided = true
		} else {
			gone = append(gone, row.ID)
		}
	}
	return gone, undecided, nil
}

// exists asks GitHub for one object by its key. Another object that took the
// key over is not it. The list just answered, so that a 404 means the object
// and not the repository.
func (s *Syncer) exists(ctx context.Context, c *collection, repositoryID, id int64, key string) (bool, error) {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: repositoryPath(repositoryID) + "/" + c.single(key)})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassNotFound, ghapi.ClassGone:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var o struct {
		ID int64 `json:"id"`
	}
	if err := resp.Decode(&o); err != nil {
		return false, err
	}
	if o.ID == 0 {
		return false, errors.New("GitHub's answer has no id")
	}
	return o.ID == id, nil
}

// refetchesOf makes a job for each issue number.
func refetchesOf(repositoryID int64, numbers []int64) []refetchArgs {
	jobs := make([]refetchArgs, len(numbers))
	for i, n := range numbers {
		jobs[i] = refetchArgs{RepositoryID: repositoryID, Number: n}
	}
	return jobs
}
