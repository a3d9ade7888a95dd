package githubsim

import "fmt"

// IssueEdit is what somebody changes at the web interface. Nil fields stay; an
// empty slice clears. Milestone is a number, 0 for none.
type IssueEdit struct {
	Title, Body        *string
	State, StateReason string
	Labels, Assignees  []string
	Milestone          *int64
	Locked             *bool
	LockReason         string
	// PullRequest makes CreateIssue open a pull request.
	PullRequest bool
	// NullUser makes CreateIssue leave the author out, as a deleted account does.
	NullUser bool
}

// CreateIssue opens an issue (or pull request) as the given user, or as the
// first one for an empty login. Title must be set.
func (s *Server) CreateIssue(fullName, login string, edit IssueEdit) (Issue, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return Issue{}, err
	}
	if edit.Title == nil {
		return Issue{}, fmt.Errorf("creating an issue in %s: no title", fullName)
	}
	c, err := s.actor(login)
	if err != nil {
		return Issue{}, err
	}
	c.repo = r
	i := &issue{id: s.store.issueIDs.next(), user: c.user, state: "open", created: c.now, updated: c.now, changed: c.now}
	if edit.PullRequest {
		i.pull = &pullRequest{}
	}
	if edit.NullUser {
		i.user = nil
	}
	p, err := c.patchOf(edit)
	if err != nil {
		return Issue{}, err
	}
	state, reason := p.state, p.reason
	p.state = ""
	s.store.addIssue(r, i)
	r.change(i, func() { c.applyIssue(i, p) })
	c.emitIssue("opened", i, nil)
	c.editIssue(i, issuePatch{state: state, reason: reason})
	if edit.Locked != nil {
		c.setLock(i, *edit.Locked, edit.LockReason)
	}
	return i.snapshot(), nil
}

// EditIssue changes an issue as the given user, or as the first one for an empty
// login, and sends the events this causes.
func (s *Server) EditIssue(fullName string, number int64, login string, edit IssueEdit) (Issue, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return Issue{}, err
	}
	c, err := s.actor(login)
	if err != nil {
		return Issue{}, err
	}
	c.repo = i.repo
	p, err := c.patchOf(edit)
	if err != nil {
		return Issue{}, err
	}
	c.editIssue(i, p)
	if edit.Locked != nil {
		c.setLock(i, *edit.Locked, edit.LockReason)
	}
	return i.snapshot(), nil
}

func (c *call) patchOf(edit IssueEdit) (issuePatch, error) {
	p := issuePatch{
		title: edit.Title, body: edit.Body, hasBody: edit.Body != nil,
		state: edit.State, reason: edit.StateReason, labels: edit.Labels, assignees: edit.Assignees,
	}
	if edit.Milestone != nil {
		p.hasMilest = true
		if n := *edit.Milestone; n != 0 {
			if p.milestone = c.repo.milestone(n); p.milestone == nil {
				return p, fmt.Errorf("githubsim has no milestone %d in %s", n, c.repo.fullName())
			}
		}
	}
	if err := p.checkTexts(); err != nil {
		return p, fmt.Errorf("changing an issue of %s: %w", c.repo.fullName(), err)
	}
	return p, nil
}

// TouchIssue moves updated_at to the present second and changes nothing else,
// as events do that the API does not show.
func (s *Server) TouchIssue(fullName string, number int64) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return err
	}
	i.repo.change(i, func() { i.touch(s.now()) })
	return nil
}

// DeleteIssue deletes an issue for good, as an administrator may.
func (s *Server) DeleteIssue(fullName string, number int64) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return err
	}
	s.webCall(s.admin).removeIssue(i)
	return nil
}

// TransferIssue moves an issue to another repository, where it gets a new id,
// node id and number. Labels and the milestone go along if the target has ones
// of the same name. The old number redirects.
func (s *Server) TransferIssue(fullName string, number int64, target string) (Issue, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	old, err := s.store.issue(fullName, number)
	if err != nil {
		return Issue{}, err
	}
	r, err := s.store.repository(target)
	if err != nil {
		return Issue{}, err
	}
	if old.pull != nil || r == old.repo {
		return Issue{}, fmt.Errorf("%s#%d cannot be transferred to %s", fullName, number, target)
	}
	c := s.webCall(s.admin)
	moved := c.transferred(old, r)
	s.store.addIssue(r, moved)
	r.change(moved, func() {
		for _, k := range old.comments {
			s.store.addComment(&comment{
				id: s.store.commentIDs.next(), issue: moved, user: k.user, body: k.body,
				created: k.created, updated: k.updated, reactions: k.reactions,
			})
		}
		moved.touch(c.now)
	})
	s.store.dropIssue(old, slot{movedTo: moved})
	c.emitIssue("opened", moved, func(e *enc) {
		e.object("changes")
		e.issue("old_issue", old)
		e.repository("old_repository", old.repo, nil, false)
		e.close('}')
	})
	c.emitIssue("transferred", old, func(e *enc) {
		e.object("changes")
		e.issue("new_issue", moved)
		e.repository("new_repository", moved.repo, nil, false)
		e.close('}')
	})
	return moved.snapshot(), nil
}

// transferred copies what of an issue survives a transfer to r.
func (c *call) transferred(old *issue, r *repository) *issue {
	moved := *old
	moved.id = c.st.issueIDs.next()
	moved.changed, moved.former = c.now, nil
	moved.comments, moved.labels, moved.assignees, moved.milestone, moved.kind = nil, nil, nil, nil, nil
	for _, l := range old.labels {
		if same := r.label(l.name); same != nil {
			moved.labels = append(moved.labels, same)
		}
	}
	sortLabels(moved.labels)
	for _, u := range old.assignees {
		if r.assignable(u) {
			moved.assignees = append(moved.assignees, u)
		}
	}
	if old.milestone != nil {
		for _, m := range r.milestones {
			if m != nil && m.title == old.milestone.title {
				moved.milestone = m
			}
		}
	}
	return &moved
}
