package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
)

func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dig follows keys into what a YAML file holds.
func dig(t *testing.T, value any, keys ...string) any {
	t.Helper()
	for i, key := range keys {
		m, ok := value.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("%s is missing", strings.Join(keys[:i+1], "."))
		}
		value = m[key]
	}
	return value
}

func texts(t *testing.T, value any) []string {
	t.Helper()
	list, ok := value.([]any)
	if !ok {
		t.Fatalf("%v is not a list", value)
	}
	var out []string
	for _, item := range list {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// TestCompose sees that docker-compose.yml says what the two services need. No engine runs it here.
func TestCompose(t *testing.T) {
	t.Parallel()
	file, err := yaml.Parser().Unmarshal([]byte(repositoryFile(t, "docker-compose.yml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"postgres", "pghub"} {
		check := texts(t, dig(t, file, "services", service, "healthcheck", "test"))
		if check[0] != "CMD" || check[1] != "pg_isready" {
			t.Errorf("health check of %s: %v", service, check)
		}
		for _, key := range []string{"interval", "timeout", "retries", "start_period"} {
			dig(t, file, "services", service, "healthcheck", key)
		}
		for _, volume := range texts(t, dig(t, file, "services", service, "volumes")) {
			name, target, _ := strings.Cut(volume, ":")
			if volumes, ok := dig(t, file, "volumes").(map[string]any); !ok || !slices.Contains(keysOf(volumes), name) {
				t.Errorf("volume %s of %s is not declared", name, service)
			}
			if !filepath.IsAbs(target) {
				t.Errorf("volume %s of %s is mounted on %q", name, service, target)
			}
		}
	}
	if got := dig(t, file, "services", "pghub", "depends_on", "postgres", "condition"); got != "service_healthy" {
		t.Errorf("pghub starts when postgres is %v", got)
	}
	for _, port := range texts(t, dig(t, file, "services", "pghub", "ports")) {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("port %s is open to the network, without TLS", port)
		}
	}

	// What compose sets must be settings, and acceptable ones.
	environment, ok := dig(t, file, "services", "pghub", "environment").(map[string]any)
	if !ok {
		t.Fatal("the environment of pghub is not a map")
	}
	substitute := regexp.MustCompile(`\$\{(\w+)(?::[-?]([^}]*))?\}`)
	values := map[string]string{"GITHUB_TOKEN": "token", "POSTGRES_PASSWORD": "password", "PGHUB_REPOS": "a/b,c/d"}
	var environ []string
	for name, value := range environment {
		if !slices.ContainsFunc(serveSettings, func(s setting) bool { return s.env == name }) {
			t.Errorf("%s is no setting of pghub", name)
		}
		text := substitute.ReplaceAllStringFunc(fmt.Sprint(value), func(m string) string { return values[substitute.FindStringSubmatch(m)[1]] })
		environ = append(environ, name+"="+text)
	}
	cfg, err := load(t, serveSettings, nil, environ)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DatabaseURL != "postgres://pghub:password@postgres:5432/pghub" || cfg.GitHubToken != "token" || len(cfg.Repos) != 2 {
		t.Errorf("compose configures %+v", cfg)
	}
	postgres := dig(t, file, "services", "postgres", "environment")
	if dig(t, postgres, "POSTGRES_USER") != "pghub" || dig(t, postgres, "POSTGRES_DB") != "pghub" {
		t.Error("the URL and the server disagree about user or database")
	}
}

func keysOf(m map[string]any) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// TestDockerfile sees that the image is built the way everybody builds, and does not run as root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(repositoryFile(t, "Dockerfile"), "\\\n", " ")
	stages := strings.Split(text, "\nFROM ")
	if len(stages) != 3 {
		t.Fatalf("%d stages, want 2", len(stages)-1)
	}
	build, run := stages[1], stages[2]
	var steps []string
	for line := range strings.Lines(build) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "RUN "); ok && step != "go mod download" {
			steps = append(steps, step)
		}
	}
	if !slices.Equal(steps, []string{"make build"}) {
		t.Errorf("build steps are %q, want make build alone", steps)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(repositoryFile(t, "go.mod"))
	if goVersion == nil || !strings.HasPrefix(build, "golang:"+goVersion[1]) {
		t.Errorf("built with %q, go.mod says go %v", strings.SplitN(build, "\n", 2)[0], goVersion)
	}
	if !regexp.MustCompile(`(?m)^COPY --from=build /src/bin/pghub `).MatchString(run) {
		t.Error("the program is not copied from where make build puts it")
	}
	user := regexp.MustCompile(`(?m)^USER (\S+)$`).FindStringSubmatch(run)
	if user == nil || user[1] == "root" || user[1] == "0" {
		t.Errorf("runs as %v", user)
	}
	if !strings.Contains(run, "create_main_cluster = false") || !regexp.MustCompile(`install .*\bpostgresql\b`).MatchString(run) {
		t.Error("no PostgreSQL server for the embedded database, or one that makes a cluster of its own")
	}
	for _, s := range []setting{settingListen, settingHTTP, settingDataDir} {
		if !strings.Contains(run, s.env+"=") {
			t.Errorf("%s is not set", s.env)
		}
	}
}

// TestMakeBuild: make build writes the file that the Dockerfile and the documentation name.
func TestMakeBuild(t *testing.T) {
	t.Parallel()
	makeTool, err := exec.LookPath("make")
	if err != nil {
		t.Skip("no make here")
	}
	cmd := exec.CommandContext(testContext(t), makeTool, "--dry-run", "--no-print-directory", "build")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make --dry-run build: %v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^go build .*-o bin/pghub \./cmd/pghub$`).Match(out) {
		t.Errorf("make build runs\n%s", out)
	}
}
