package crashtest
import ("testing";"time";"fmt";"sync")
var series struct{ mu sync.Mutex; m map[int][]time.Duration }
func note(start, due time.Time, lat time.Duration) {
	series.mu.Lock(); defer series.mu.Unlock()
	if series.m == nil { series.m = map[int][]time.Duration{} }
	k := int(due.Sub(start)/(250*time.Millisecond)); series.m[k] = append(series.m[k], lat)
}
func dump(t *testing.T) {
	for k := 0; k < 240; k++ { var mx, sum time.Duration; for _, d := range series.m[k] { mx = max(mx, d); sum += d }; if len(series.m[k])>0 && (k < 24 || mx > 200*time.Millisecond) { fmt.Printf("%6.2f s: mean %v max %v\n", float64(k)/4, sum/time.Duration(len(series.m[k])), mx) } }
	series.m = nil
}
