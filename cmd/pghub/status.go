package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/syncer"
)

// status prints where the sync of each table of each repository stands.
func (c *command) status(ctx context.Context, cfg config) error {
	return c.withPool(ctx, cfg, func(pool *pgxpool.Pool) error {
		list, err := syncer.Status(ctx, pool)
		if err != nil {
			return err
		}
		return printStatus(c.stdout, list)
	})
}

func printStatus(out io.Writer, list []syncer.CollectionStatus) error {
	if len(list) == 0 {
		fmt.Fprintln(out, "nothing is synced yet")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REPOSITORY\tTABLE\tSTATE\tROWS\tCURSOR\tLAST SYNC\tLAST ERROR")
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", orDash(c.Repository), c.Collection, stateText(c), c.Rows,
			timeText(c.Cursor), timeText(c.LastSync), errorText(c))
	}
	return w.Flush()
}

func stateText(c syncer.CollectionStatus) string {
	text := string(c.State)
	if percent := c.Percent(); !c.Complete && percent >= 0 {
		text += fmt.Sprintf(" %d%%", percent)
	}
	if !c.WaitingUntil.IsZero() {
		text += " until " + timeText(c.WaitingUntil)
	}
	return text
}

func errorText(c syncer.CollectionStatus) string {
	if c.LastError == "" {
		return "-"
	}
	// One line per table, whatever the error says.
	text := strings.Join(strings.Fields(c.LastError), " ")
	if !c.LastErrorAt.IsZero() {
		text = timeText(c.LastErrorAt) + " " + text
	}
	return text
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
