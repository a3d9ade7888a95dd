package main

import (
	"context"
	"fmt"
)

// migrate brings the database to the present schema and says so.
func (c *command) migrate(ctx context.Context, cfg config) error {
	return withDatabase(ctx, cfg, c.logger(), func(url string) error {
		if err := migrate(ctx, url); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "the database has the present schema")
		return nil
	})
}
