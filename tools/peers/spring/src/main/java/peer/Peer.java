package peer;

import java.util.HashSet;
import java.util.Set;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** The challenge's contract on Spring Boot with Tomcat. */
@SpringBootApplication
@RestController
public class Peer {
    record Event(String userId, Double value) {}

    record Statistics(long totalRequests, int uniqueUsers, double sum, double avg) {}

    private final Set<String> users = new HashSet<>();
    private long count;
    private double sum;

    @PostMapping("/event")
    ResponseEntity<Void> event(@RequestBody Event event) {
        if (event.userId() == null || event.userId().isEmpty() || event.value() == null) {
            return ResponseEntity.badRequest().build();
        }
        synchronized (this) {
            count++;
            sum += event.value();
            users.add(event.userId());
        }
        return ResponseEntity.ok().build();
    }

    @GetMapping("/stats")
    synchronized Statistics stats() {
        return new Statistics(count, users.size(), sum, count == 0 ? 0.0 : sum / count);
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Peer.class, arguments);
    }
}
