package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// publish makes the publication of the change stream, as the connecting user. It takes CREATE on the database, which a
// user that only belongs to pghub_sync may lack: then there is none, and docs/change-stream.md says how an administrator
// makes it. Everything else works without. One that exists stays as it is.
//
// Only inserts are published: events never change, and consumers need not see old ones go.
func publish(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)`, Publication).Scan(&exists); err != nil {
		return fmt.Errorf("looking for publication %s: %w", Publication, err)
	}
	if exists {
		return nil
	}
	_, err := conn.Exec(ctx, "CREATE PUBLICATION "+pgx.Identifier{Publication}.Sanitize()+" FOR TABLE "+
		pgx.Identifier{Name, EventTable}.Sanitize()+" WITH (publish = 'insert', publish_via_partition_root = true)")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" { // insufficient_privilege
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating publication %s: %w", Publication, err)
	}
	return nil
}
