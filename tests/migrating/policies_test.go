package migrating

import (
	"testing"
	"time"

	backoff4 "github.com/cenkalti/backoff/v4"
	backoff5 "github.com/cenkalti/backoff/v5"

	"github.com/wsnotify/wsnotify"
)

// The policies of cenkalti/backoff are BackOffs, v4 and v5.
func TestPoliciesOfBothVersions(t *testing.T) {
	for name, policy := range map[string]wsnotify.BackOff{
		"v4": backoff4.NewConstantBackOff(time.Second), "v5": backoff5.NewConstantBackOff(time.Second),
	} {
		if policy.Reset(); policy.NextBackOff() != time.Second {
			t.Errorf("%s waits for something else", name)
		}
	}
	for name, policy := range map[string]wsnotify.BackOff{"v4": &backoff4.StopBackOff{}, "v5": &backoff5.StopBackOff{}} {
		if policy.NextBackOff() != wsnotify.Stop {
			t.Errorf("the end of %s is not Stop", name)
		}
	}
}
