// Command pghub makes a GitHub account look like a Postgres database that can also be written to.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // a setting or the command line is unusable; nothing was started
	exitInterrupted = 130
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go watchSignals(cancel)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, ownStderr()))
}

// ownStderr is standard error under a descriptor of our own: for as long as the SQL parser (libpg_query) works, it has
// descriptor 2 point to a pipe, and what others write there is lost.
func ownStderr() *os.File {
	fd, err := syscall.Dup(int(os.Stderr.Fd()))
	if err != nil {
		return os.Stderr
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), os.Stderr.Name())
}

// watchSignals calls first at the first signal that asks the program to end. The second one ends it at once, as if nobody
// had ever caught it.
func watchSignals(first func()) {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup it stays ignored
		signals = append(signals, syscall.SIGHUP)
	}
	received := make(chan os.Signal, len(signals))
	signal.Notify(received, signals...)
	<-received
	first()
	again := <-received
	signal.Reset(signals...)
	if sig, ok := again.(syscall.Signal); !ok || syscall.Kill(os.Getpid(), sig) != nil {
		os.Exit(exitInterrupted)
	}
}

// run is the whole program; ctx ends with the first signal.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := rootCommand(environ, stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var bad *configError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, "pghub:", bad)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "pghub: interrupted")
		return exitInterrupted
	default:
		fmt.Fprintln(stderr, "pghub:", err)
		return exitFailed
	}
}

// command is what the subcommands share: where they read settings from and write to.
type command struct {
	environ        []string
	stdout, stderr io.Writer
}

func rootCommand(environ []string, stdout, stderr io.Writer) *cobra.Command {
	c := &command{environ: environ, stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:           "pghub",
		Short:         "GitHub as a Postgres database that you can write to",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return configErrorf("%q is not a command of pghub; pghub --help lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return configErrorf("%v; %s --help lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(
		c.subcommand("serve", "keep a mirror of GitHub in Postgres and serve it, reads and writes", serveSettings, c.serve),
		c.subcommand("demo", "try it all with a simulated GitHub, until Ctrl-C", demoSettings, c.demo),
		c.subcommand("proxy", "run the proxy alone", serveSettings, c.proxy),
		c.subcommand("migrate", "bring the database to the present schema", databaseSettings, c.migrate),
		c.subcommand("status", "show per repository and table how far the sync is", databaseSettings, c.status),
		c.deliveriesCommand(),
		c.doctorCommand(),
		c.subcommand("simulate-github", "run the simulated GitHub alone", simulatorSettings, c.simulate),
		c.subcommand("version", "print the version", nil, c.version),
	)
	return root
}

// subcommand makes a command that checks its settings before it does anything.
func (c *command) subcommand(name, short string, settings []setting, do func(context.Context, config) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return configErrorf("%s takes no arguments, got %q; settings are flags", cmd.CommandPath(), strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags(), settings, c.environ)
			if err != nil {
				return err
			}
			return do(cmd.Context(), cfg)
		},
	}
	addFlags(cmd.Flags(), settings)
	return cmd
}
