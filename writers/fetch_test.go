package writers

import (
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	fetch := func(w *Writers, id, number int64) (Result, error) {
		return w.Fetch(t.Context(), "issue", v.repo.ID, id, number)
	}
	for _, id := range []int64{v.old.ID, 0} {
		res, err := fetch(v.w, id, 1)
		if err != nil || res.Deleted || res.Row.ID() != v.old.ID || res.StartedAt.IsZero() {
			t.Errorf("present: %+v %v", res, err)
		}
	}
	if res, err := fetch(v.w, 1, 99); err != nil || !res.Deleted {
		t.Errorf("a number never given out: %+v %v", res, err)
	}
	if _, err := v.sim.CreateRepository("octo/other", false); err != nil {
		t.Fatal(err)
	}
	title := "x"
	second, err := v.sim.CreateIssue(repoName, "", githubsim.IssueEdit{Title: &title})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.sim.TransferIssue(repoName, 2, "octo/other"); err != nil {
		t.Fatal(err)
	}
	if res, err := fetch(v.w, second.ID, 2); err != nil || !res.Deleted || res.Row != nil {
		t.Errorf("transferred: %+v %v", res, err)
	}
	if err := v.sim.DeleteIssue(repoName, 1); err != nil {
		t.Fatal(err)
	}
	if res, err := fetch(v.w, v.old.ID, 1); err != nil || !res.Deleted {
		t.Errorf("deleted: %+v %v", res, err)
	}
	// Without access to the repository nothing is certain.
	private := true
	if err := v.sim.SetRepository(repoName, githubsim.RepositorySettings{Private: &private}); err != nil {
		t.Fatal(err)
	}
	res, err := fetch(v.user("stranger", githubsim.None), v.old.ID, 1)
	refused(t, err, "42704")
	if res.Deleted {
		t.Error("a lost access counts as a deletion")
	}
	_, err = v.w.Fetch(t.Context(), "issue", 12345, 1, 1)
	refused(t, err, "23503")
	_, err = v.w.Fetch(t.Context(), "label", v.repo.ID, 1, 1)
	refused(t, err, "55000")
}

func TestFetchWithIssuesSwitchedOff(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.fault(githubsim.Fault{Status: 410, Body: `{"message":"Issues are disabled for this repo"}`}, "GET", "", 0)
	res, err := v.w.Fetch(t.Context(), "issue", v.repo.ID, v.old.ID, 1)
	refused(t, err, "55000", "Issues are disabled")
	if res.Deleted {
		t.Error("the issue counts as deleted")
	}
}
