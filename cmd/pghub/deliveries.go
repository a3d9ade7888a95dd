package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/syncer"
)

// deliveriesCommand shows what became of GitHub's webhook deliveries.
func (c *command) deliveriesCommand() *cobra.Command {
	top := &cobra.Command{
		Use:   "deliveries",
		Short: "show webhook deliveries and have them processed again",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return configErrorf("%q is not a command of pghub deliveries: list, show and retry are", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	var status string
	var limit int
	list := c.deliveriesSubcommand("list", "list the newest deliveries", func(args []string) error {
		if len(args) > 0 {
			return configErrorf("pghub deliveries list takes no arguments, got %q", strings.Join(args, " "))
		}
		if status != "" && !slices.Contains(syncer.DeliveryStatuses, status) {
			return configErrorf("status: %q is none; known are %s (flag --status)", status, strings.Join(syncer.DeliveryStatuses, ", "))
		}
		if limit < 1 {
			return configErrorf("limit: %d is less than 1 (flag --limit)", limit)
		}
		return nil
	}, func(ctx context.Context, pool *pgxpool.Pool, _ []string) error {
		list, err := syncer.Deliveries(ctx, pool, status, limit)
		if err != nil {
			return err
		}
		return printDeliveries(c.stdout, list)
	})
	list.Flags().StringVar(&status, "status", "", "only those of this `status`: "+strings.Join(syncer.DeliveryStatuses, ", "))
	list.Flags().IntVar(&limit, "limit", 50, "at most this `number`")

	show := c.deliveriesSubcommand("show GUID", "show one delivery with its payload", func(args []string) error {
		if len(args) != 1 {
			return configErrorf("pghub deliveries show takes one GUID; pghub deliveries list has them")
		}
		return nil
	}, func(ctx context.Context, pool *pgxpool.Pool, args []string) error {
		d, err := syncer.GetDelivery(ctx, pool, args[0])
		if err != nil {
			return err
		}
		return printDelivery(c.stdout, d)
	})

	var errored bool
	retry := c.deliveriesSubcommand("retry [GUID]", "have a delivery, or all errored ones, processed again", func(args []string) error {
		if errored == (len(args) == 1) || len(args) > 1 {
			return configErrorf("pghub deliveries retry takes either one GUID or --errored")
		}
		return nil
	}, func(ctx context.Context, pool *pgxpool.Pool, args []string) error {
		n := 1
		var err error
		if errored {
			n, err = syncer.RetryErrored(ctx, pool)
		} else {
			err = syncer.RetryDelivery(ctx, pool, args[0])
		}
		if err != nil {
			return err
		}
		noun := "deliveries"
		if n == 1 {
			noun = "delivery"
		}
		_, err = fmt.Fprintf(c.stdout, "%d %s queued; pghub serve processes what is queued\n", n, noun)
		return err
	})
	retry.Flags().BoolVar(&errored, "errored", false, "all that are errored")

	top.AddCommand(list, show, retry)
	return top
}

// deliveriesSubcommand checks its arguments and settings before it connects.
func (c *command) deliveriesSubcommand(use, short string, check func([]string) error, do func(context.Context, *pgxpool.Pool, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := check(args); err != nil {
				return err
			}
			cfg, err := loadConfig(cmd.Flags(), databaseSettings, c.environ)
			if err != nil {
				return err
			}
			return c.withPool(cmd.Context(), cfg, func(pool *pgxpool.Pool) error { return do(cmd.Context(), pool, args) })
		},
	}
	addFlags(cmd.Flags(), databaseSettings)
	return cmd
}

// withPool connects to the database that the settings name, which must exist.
func (c *command) withPool(ctx context.Context, cfg config, do func(*pgxpool.Pool) error) error {
	if cfg.DatabaseURL == "" {
		dir, err := embeddedDataDir(cfg)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "pgdata")); err != nil {
			return fmt.Errorf("there is no database in %s yet: pghub serve makes one (other places: --data-dir, --database-url)", dir)
		}
	}
	return withDatabase(ctx, cfg, c.logger(), func(url string) error {
		pool, err := schema.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		return do(pool)
	})
}

func printDeliveries(out io.Writer, list []syncer.StoredDelivery) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no deliveries")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "GUID\tRECEIVED\tEVENT\tREPOSITORY ID\tSTATUS\tATTEMPTS\tREASON")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", d.GUID, timeText(d.ReceivedAt), eventText(&d), idText(d.RepositoryID),
			d.Status, d.Attempts, orDash(printable(d.Reason, false)))
	}
	return w.Flush()
}

func printDelivery(out io.Writer, d *syncer.StoredDelivery) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(name, text string) { fmt.Fprintf(w, "%s\t%s\n", name, orDash(printable(text, false))) }
	line("guid", d.GUID)
	line("event", eventText(d))
	line("repository id", idText(d.RepositoryID))
	line("installation id", idText(d.InstallationID))
	line("status", d.Status)
	line("reason", d.Reason)
	line("attempts", fmt.Sprint(d.Attempts))
	line("received", timeText(d.ReceivedAt))
	line("processed", timeText(d.ProcessedAt))
	if d.Status == "unprocessed" {
		line("next try", timeText(d.NextTry))
	}
	line("content type", d.ContentType)
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		line(name, d.Headers[name])
	}
	line("size", fmt.Sprintf("%d bytes", d.Size))
	if err := w.Flush(); err != nil {
		return err
	}
	payload, err := d.Payload()
	if err != nil {
		payload = d.Body
	}
	_, err = fmt.Fprintf(out, "\n%s\n", printable(string(payload), true))
	return err
}

func eventText(d *syncer.StoredDelivery) string {
	return printable(strings.TrimSuffix(d.Event+"."+d.Action, "."), false)
}

func idText(id int64) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprint(id)
}

// printable keeps what strangers wrote from steering the terminal. With lines, line breaks and tabs stay; else they become spaces.
func printable(text string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case (r == '\n' || r == '\t') && lines:
			return r
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, text)
}
