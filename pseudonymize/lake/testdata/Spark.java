import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Reads a lake with Spark, and says what it finds as readers.py does. One session, on one core and
 * without its page, serves everything: Spark takes longer to start than to read.
 */
public class Spark {
    static final ObjectMapper json = new ObjectMapper();

    static void say(String key, String value) throws Exception {
        System.out.println(json.writeValueAsString(Map.of("key", key, "value", value)));
    }

    public static void main(String[] args) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[1]")
            .config("spark.sql.session.timeZone", "Asia/Tokyo")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN") // compiling takes longer than these few rows
            .getOrCreate();
        JsonNode files = json.readTree(new File("lake/manifest.json")).get("files");
        JsonNode tables = json.readTree(args[0]); // table: [number, token, text that came later]
        for (var fields = tables.fields(); fields.hasNext();) {
            var table = fields.next();
            String name = table.getKey();
            read(spark, files, name).createOrReplaceTempView(name);
            List<Row> months = spark.sql(String.format(
                "SELECT date_format(occurred_on, 'yyyy-MM'), count(*), sum(%s), count(DISTINCT %s), count(%s), "
                    + "date_format(max(occurred_local), \"yyyy-MM-dd'T'HH:mm\") FROM %s GROUP BY 1",
                table.getValue().get(0).asText(), table.getValue().get(1).asText(), table.getValue().get(2).asText(), name)).collectAsList();
            for (Row r : months) {
                say("spark " + name + " " + r.get(0), r.get(1) + " " + r.get(2) + " " + r.get(3) + " " + r.get(4) + " " + r.get(5));
            }
        }
        say("Spark", String.valueOf(spark.table("payments").count()));
        Matcher visits = Pattern.compile("<!-- visits -->\n+```sql\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(Path.of(args[1])));
        if (!visits.find()) {
            throw new IllegalStateException("the document has no SQL of visits");
        }
        Row r = spark.sql("SELECT count(*), sum(payments), sum(net_yen) FROM (" + visits.group(1) + ")").first();
        say("visits by Spark", r.get(0) + " " + r.get(1) + " " + r.get(2));
        spark.stop();
    }

    /** The files that the manifest names, as docs/lake.md says. */
    static Dataset<Row> read(SparkSession spark, JsonNode files, String table) {
        List<String> paths = new ArrayList<>();
        for (JsonNode f : files) {
            if (f.get("table").asText().equals(table)) {
                paths.add("lake/" + f.get("path").asText());
            }
        }
        return spark.read().option("mergeSchema", "true").parquet(paths.toArray(new String[0]));
    }
}
