package githubsim

import (
	"fmt"
	"strings"
)

// CreateLabel makes a label. An existing name is an error.
func (s *Server) CreateLabel(fullName, name string) (Label, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return Label{}, err
	}
	if r.label(name) != nil || checkLabelName(name) != nil {
		return Label{}, fmt.Errorf("githubsim cannot create the label %q in %s", name, fullName)
	}
	l := &label{id: s.store.labelIDs.next(), name: name, color: defaultLabelColor}
	r.putLabel(l)
	s.webCall(s.admin).emitLabel("created", r, l, nil)
	return Label{ID: l.id, Name: l.name, Color: l.color}, nil
}

// RenameLabel gives a label a new name. Its issues show it at once, their
// updated_at stays.
func (s *Server) RenameLabel(fullName, name, to string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, l, err := s.store.labelOf(fullName, name)
	if err != nil {
		return err
	}
	if other := r.label(to); other != nil && other != l || checkLabelName(to) != nil {
		return fmt.Errorf("githubsim cannot rename the label %q of %s to %q", name, fullName, to)
	}
	before := *l
	r.dropLabel(l)
	l.name = to
	r.putLabel(l)
	s.webCall(s.admin).emitLabel("edited", r, l, &before)
	return nil
}

// DeleteLabel deletes a label and takes it off its issues, whose updated_at stays.
func (s *Server) DeleteLabel(fullName, name string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, l, err := s.store.labelOf(fullName, name)
	if err != nil {
		return err
	}
	s.webCall(s.admin).removeLabel(r, l)
	return nil
}

func (st *store) labelOf(fullName, name string) (*repository, *label, error) {
	r, err := st.repository(fullName)
	if err != nil {
		return nil, nil, err
	}
	if l := r.label(name); l != nil {
		return r, l, nil
	}
	return nil, nil, fmt.Errorf("githubsim has no label %q in %s", name, fullName)
}

// CreateMilestone makes an open milestone.
func (s *Server) CreateMilestone(fullName, title string) (Milestone, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return Milestone{}, err
	}
	if strings.TrimSpace(title) == "" {
		return Milestone{}, fmt.Errorf("creating a milestone in %s: no title", fullName)
	}
	c := s.webCall(s.admin)
	m := &milestone{
		id: s.store.milestoneIDs.next(), number: int64(len(r.milestones)) + 1, title: title, state: "open",
		creator: c.user, created: c.now, updated: c.now,
	}
	r.milestones = append(r.milestones, m)
	c.emitMilestone("created", r, m, nil)
	return m.snapshot(), nil
}

// DeleteMilestone deletes a milestone and takes it off its issues, whose
// updated_at stays.
func (s *Server) DeleteMilestone(fullName string, number int64) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return err
	}
	m := r.milestone(number)
	if m == nil {
		return fmt.Errorf("githubsim has no milestone %d in %s", number, fullName)
	}
	s.webCall(s.admin).removeMilestone(r, m)
	return nil
}

// CreateComment comments on an issue or pull request as the given user, or as
// the first one for an empty login.
func (s *Server) CreateComment(fullName string, number int64, login, body string) (Comment, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	i, err := s.store.issue(fullName, number)
	if err != nil {
		return Comment{}, err
	}
	c, err := s.actor(login)
	if err != nil {
		return Comment{}, err
	}
	return c.newComment(i, body).snapshot(), nil
}

// EditComment changes a comment's text; its issue's updated_at stays.
func (s *Server) EditComment(id int64, body string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	m := s.store.comments[id]
	if m == nil {
		return fmt.Errorf("githubsim has no comment %d", id)
	}
	s.webCall(s.admin).editComment(m, body)
	return nil
}

// DeleteComment deletes a comment.
func (s *Server) DeleteComment(id int64) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	m := s.store.comments[id]
	if m == nil {
		return fmt.Errorf("githubsim has no comment %d", id)
	}
	s.webCall(s.admin).removeComment(m)
	return nil
}
