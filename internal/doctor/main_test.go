package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

// has tells whether a finding of that level and subject says text, in itself or
// as the fix.
func (r *Report) has(level Level, what, text string) bool {
	for _, f := range r.findings {
		if f.Level == level && f.What == what && (strings.Contains(f.Text, text) || strings.Contains(f.Fix, text)) {
			return true
		}
	}
	return false
}
