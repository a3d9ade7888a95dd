package syncer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

// TestWebhookHistories plays random histories whose webhooks come shuffled,
// doubled and over several connections at once, while clients hold rows, and with
// every other seed while GitHub's reads lag behind its events. Each
// can be repeated by its seed; -histories says how many.
func TestWebhookHistories(t *testing.T) {
	t.Parallel()
	for seed := range *histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b, _, hooks, repos := follow(t, githubsim.Config{Seed: int64(seed), Repos: 2, Issues: 60, ReadLag: time.Duration(seed%2) * time.Second})
			h := &history{Rand: rand.New(rand.NewPCG(seed, 3)), b: b, repos: repos}
			for range 4 {
				for range 25 {
					h.step()
				}
				h.client()
				h.client()
				list := hooks.take()
				for _, order := range orders[1:] {
					hooks.deliverTogether(order.arrange(list, seed), 3)
				}
				h.release()
			}
			b.eventually("the mirror equals GitHub", func() string {
				b.poll() // counts, and lists whose poll was under way when a webhook asked for one
				return b.different(repos[0]) + b.different(repos[1])
			})
		})
	}
}
