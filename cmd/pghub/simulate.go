package main

import (
	"context"
	"fmt"
	"net"

	"github.com/pghub/pghub/internal/githubsim"
)

var simulatorSettings = []setting{settingSimulatorListen, settingSeed, settingRepos, settingIssues}

// simulate runs the simulated GitHub alone. Its token opens nothing but itself, so it may be printed.
func (c *command) simulate(ctx context.Context, cfg config) error {
	g := newGroup(c.logger())
	sim, url, err := startSimulator(g, cfg.Listen, githubsim.Config{Seed: cfg.Seed, Repos: cfg.SimRepos, Issues: cfg.SimIssues})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "simulated GitHub: %s\ntoken: %s (user %s)\n", url, sim.Token(), sim.Login())
	err = g.wait(ctx)
	return joined(err, g.stop())
}

// startSimulator serves a simulated GitHub as a part of g and returns its base URL.
func startSimulator(g *group, listen string, cfg githubsim.Config) (*githubsim.Server, string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, "", fmt.Errorf("listening for the simulated GitHub: %w", err)
	}
	sim := githubsim.New(cfg)
	g.start(rankSimulator, "simulated GitHub", func(ctx context.Context) error { return sim.Serve(ctx, l) })
	return sim, "http://" + reachableAddress(l.Addr()) + "/", nil
}
