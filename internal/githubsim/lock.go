package githubsim

import "slices"

var lockReasons = []string{"off-topic", "too heated", "resolved", "spam"}

func (c *call) lockIssue() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	reason := ""
	if !c.noBody() { // the description allows none, and null
		b, err := c.object()
		if err != nil {
			return err
		}
		text, _, err := b.nullableText("lock_reason")
		if err != nil {
			return err
		}
		if text != nil {
			reason = *text
			if !slices.Contains(lockReasons, reason) {
				return errSchema("For 'properties/lock_reason', %s is not a member of [\"off-topic\", \"too heated\", \"resolved\", \"spam\"].", reason)
			}
		}
	}
	c.setLock(i, true, reason)
	c.noContent()
	return nil
}

func (c *call) unlockIssue() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	c.setLock(i, false, "")
	c.noContent()
	return nil
}

// setLock locks or unlocks. Locking again with another reason replaces it.
func (c *call) setLock(i *issue, locked bool, reason string) {
	if i.locked == locked && i.lockReason == reason {
		return
	}
	action := "locked"
	if !locked {
		action = "unlocked"
	}
	i.repo.change(i, func() {
		i.locked, i.lockReason = locked, reason
		i.touch(c.now)
	})
	c.emitIssue(action, i, nil)
}
