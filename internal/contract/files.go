package contract

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// File is one published description.
type File struct {
	Package string // npm package, whose version and hash package-lock.json pins
	Member  string // path inside the package's archive
	Name    string // file name below Dir
	// SHA256 is the hash of the file itself, in hex. The archive's own hash is
	// checked when it is fetched, this one whenever the file is read.
	SHA256 string
}

// The published descriptions. All are under the MIT licence.
var (
	RESTFile = File{
		Package: "@octokit/openapi", Member: "package/generated/api.github.com.json", Name: "rest.json",
		SHA256: "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a",
	}
	WebhooksFile = File{
		Package: "@octokit/openapi-webhooks", Member: "package/generated/api.github.com.json", Name: "webhooks.json",
		SHA256: "0a86fcfad6f38c696f2f1967311e61a4009adca58adac52d7df52e003d187b26",
	}
	ExamplesFile = File{
		Package: "@octokit/webhooks-examples", Member: "package/api.github.com/index.json", Name: "webhook-examples.json",
		SHA256: "09d8f0c617876ae9dad22e26fea5510bfcaad50ee7e602659f6db25b87b25815",
	}
	GraphQLFile = File{
		Package: "@octokit/graphql-schema", Member: "package/schema.graphql", Name: "schema.graphql",
		SHA256: "3c62d0526d133cee53221c89de9b455ade24db78b9e7ad56d642c4c15bce2654",
	}
)

// Files are all of them.
var Files = []File{RESTFile, WebhooksFile, ExamplesFile, GraphQLFile}

// ErrNotFetched means that "make contract" has not been run here.
var ErrNotFetched = errors.New(`GitHub's descriptions are not here: run "make contract" (it needs npm)`)

//go:embed package-lock.json
var lockFile []byte

// Pin is what package-lock.json says about one package.
type Pin struct {
	Version   string `json:"version"`
	Integrity string `json:"integrity"` // "sha512-" and the archive's hash in base64
}

// Pinned returns the version and hash of an npm package, and an error when
// package-lock.json lacks it.
func Pinned(npmPackage string) (Pin, error) {
	var lock struct {
		Packages map[string]Pin `json:"packages"`
	}
	if err := json.Unmarshal(lockFile, &lock); err != nil {
		return Pin{}, fmt.Errorf("reading package-lock.json: %w", err)
	}
	pin, ok := lock.Packages["node_modules/"+npmPackage]
	if !ok || pin.Version == "" || pin.Integrity == "" {
		return Pin{}, fmt.Errorf("package-lock.json does not pin %s", npmPackage)
	}
	return pin, nil
}

// Dir is where the descriptions are kept: .cache/contract beside the go.mod
// above the working directory, which tests have in their package's folder.
var Dir = sync.OnceValues(func() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the folder of GitHub's descriptions: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, ".cache", "contract"), nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", errors.New("finding the folder of GitHub's descriptions: no go.mod here or above")
		}
		at = up
	}
})

// Read returns the file's content: ErrNotFetched when it is not there, another
// error when it is not the one that is pinned.
func (f File) Read() ([]byte, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, f.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotFetched
	}
	if err != nil {
		return nil, fmt.Errorf("reading GitHub's description %s: %w", f.Name, err)
	}
	if err := f.Check(b); err != nil {
		return nil, err
	}
	return b, nil
}

// Check compares content with the pinned hash.
func (f File) Check(content []byte) error {
	sum := sha256.Sum256(content)
	if got := hex.EncodeToString(sum[:]); got != f.SHA256 {
		return fmt.Errorf("%s of %s has the SHA-256 %s, pinned is %s: run \"make contract\" again, or see docs/github-contract.md for changing versions",
			f.Name, f.Package, got, f.SHA256)
	}
	return nil
}
