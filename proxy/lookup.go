package proxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/writers"
)

// Mirror answers the writers' questions from the mirrored tables.
type Mirror struct{ Pool *pgxpool.Pool }

// Repository returns "owner/name", or writers.ErrNotFound.
func (m Mirror) Repository(ctx context.Context, id int64) (string, error) {
	var name string
	err := m.Pool.QueryRow(ctx, `SELECT full_name FROM github.repository WHERE id = $1`, id).Scan(&name)
	return name, lookupError("repository", id, err)
}

// Milestone returns the milestone's repository and number, or writers.ErrNotFound.
func (m Mirror) Milestone(ctx context.Context, id int64) (repositoryID int64, number int, err error) {
	err = m.Pool.QueryRow(ctx, `SELECT repository_id, number FROM github.milestone WHERE id = $1`, id).Scan(&repositoryID, &number)
	return repositoryID, number, lookupError("milestone", id, err)
}

func lookupError(what string, id int64, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s %d: %w", what, id, writers.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("looking up %s %d: %w", what, id, err)
	}
	return nil
}
