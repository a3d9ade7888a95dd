// Command fetch gets GitHub's published descriptions through npm into
// .cache/contract, at the versions and hashes that package-lock.json pins. What
// is there already and whole is left alone.
//
// With -optional it says loudly that it skipped, and succeeds, where npm is
// missing or cannot fetch; never where CI=true.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/pghub/pghub/internal/contract"
)

// patience bounds one fetch; the largest archive has 29 MB.
const patience = 10 * time.Minute

// maxMember bounds what is unpacked; the largest file has 13 MB.
const maxMember = 256 << 20

func main() {
	optional := flag.Bool("optional", false, "succeed, loudly, where npm is missing or cannot fetch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := fetchAll(ctx)
	switch {
	case err == nil:
	case *optional && os.Getenv("CI") != "true":
		fmt.Fprintf(os.Stderr, "\n*** SKIPPED: the tests against GitHub's own descriptions will not run: %v\n\n", err)
	default:
		fmt.Fprintln(os.Stderr, "fetching GitHub's descriptions:", err)
		os.Exit(1)
	}
}

func fetchAll(ctx context.Context) error {
	dir, err := contract.Dir()
	if err != nil {
		return err
	}
	for _, f := range contract.Files {
		if _, err := f.Read(); err == nil {
			continue
		}
		if err := fetch(ctx, f, dir); err != nil {
			return fmt.Errorf("%s: %w", f.Package, err)
		}
	}
	return nil
}

// fetch has npm download the archive, and unpacks the one file needed: all of
// @octokit/openapi unpacked would be 400 MB.
func fetch(ctx context.Context, f contract.File, dir string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("there is no npm on this machine (\"make deps\" installs it on Debian and Ubuntu)")
	}
	pin, err := contract.Pinned(f.Package)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fmt.Fprintf(os.Stderr, "fetching %s %s\n", f.Package, pin.Version)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--ignore-scripts", f.Package+"@"+pin.Version)
	cmd.Dir = work
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm pack: %w: %s", err, bytes.TrimSpace(out))
	}
	archives, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack left %d archives, not one", len(archives))
	}
	archive, err := os.ReadFile(archives[0])
	if err != nil {
		return err
	}
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != pin.Integrity {
		return fmt.Errorf("the archive of version %s has the hash %s, pinned is %s", pin.Version, got, pin.Integrity)
	}
	content, err := member(archive, f.Member)
	if err != nil {
		return err
	}
	if err := f.Check(content); err != nil {
		return err
	}
	// By rename, so that a test never reads half a file.
	whole := filepath.Join(work, f.Name)
	if err := os.WriteFile(whole, content, 0o644); err != nil {
		return err
	}
	return os.Rename(whole, filepath.Join(dir, f.Name))
}

func member(archive []byte, name string) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	files := tar.NewReader(unzipped)
	for {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the archive holds no %s", name)
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking: %w", err)
		}
		if head.Name != name {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(files, maxMember+1))
		if err == nil && len(content) > maxMember {
			err = errors.New("it is too large")
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", name, err)
		}
		return content, nil
	}
}
