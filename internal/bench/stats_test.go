package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, 0.99, 3},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, 1, 5},
		{[]float64{10, 20}, 0.25, 12.5},
	} {
		if got := percentile(tc.values, tc.q); got != tc.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", tc.values, tc.q, got, tc.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	// The machine was twice as slow in the second round; the ratio stays.
	if got := median(ratios([]float64{80, 40}, []float64{100, 50})); got != 0.8 {
		t.Errorf("got %v", got)
	}
	if got := ratios([]float64{1}, []float64{0}); len(got) != 0 {
		t.Errorf("a ratio to nothing: %v", got)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0.50": number(0.5, 2), "1,234.6": number(1234.56, 1), "999": number(999, 0), "1,000,000": number(1e6, 0), "-12,345": number(-12345, 0),
		"–": number(math.NaN(), 2),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestUpdateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + beginMarker + "\nold\n" + endMarker + "\nafter\n")
	for _, report := range []string{"first", "second"} {
		if err := updateFile(path, "\n"+report+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + beginMarker + "\n\nsecond\n\n" + endMarker + "\nafter\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	write("no markers")
	if err := updateFile(path, "x"); err == nil || !strings.Contains(err.Error(), "no lines") {
		t.Errorf("without markers: %v", err)
	}
}
