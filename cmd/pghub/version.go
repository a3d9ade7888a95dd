package main

import (
	"context"
	"fmt"
	"runtime/debug"
)

// versionText is the module version, or the commit for a binary built from a working tree.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	if version != "(devel)" {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return version + " " + s.Value
		}
	}
	return version
}

func (c *command) version(context.Context, config) error {
	_, err := fmt.Fprintln(c.stdout, "pghub", versionText())
	return err
}
