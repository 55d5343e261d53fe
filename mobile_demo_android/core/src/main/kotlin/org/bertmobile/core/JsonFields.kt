package org.bertmobile.core

/**
 * The fields of a JSON object, each of which has to be asked for: [finish] refuses those that were not.
 *
 * @param where names the object in messages, such as `manifest.json: tokenizer`.
 */
internal class JsonFields(document: Any?, private val where: String) {
    private val fields: Map<*, *> =
        document as? Map<*, *> ?: throw BundleException("$where is not an object; $EXPORT_AGAIN")
    private val asked = HashSet<String>()

    fun string(name: String): String = required(name, "a string")

    fun stringOrNull(name: String): String? = value(name)?.let { string(name) }

    fun boolean(name: String): Boolean = required(name, "true or false")

    fun int(name: String, least: Int = 0): Int = whole(value(name), name, least)

    fun intOrNull(name: String, least: Int = 0): Int? = value(name)?.let { int(name, least) }

    fun long(name: String): Long = required(name, "a whole number")

    fun double(name: String): Double = required<Number>(name, "a number").toDouble()

    fun strings(name: String): List<String> = list(name).map { it as? String ?: wrong(name, "a list of strings") }

    fun ints(name: String, least: Int = 0): IntArray {
        val list = list(name)
        return IntArray(list.size) { whole(list[it], name, least) }
    }

    fun doubles(name: String): DoubleArray {
        val list = list(name)
        return DoubleArray(list.size) { (list[it] as? Number ?: wrong(name, "a list of numbers")).toDouble() }
    }

    fun list(name: String): List<*> = required(name, "a list")

    /** The objects of a list, each read by [read]. */
    fun <T> objects(name: String, read: (JsonFields) -> T): List<T> =
        list(name).mapIndexed { index, each -> read(JsonFields(each, "$where: $name[$index]")) }

    fun <T> only(name: String, read: (JsonFields) -> T): T = read(JsonFields(value(name), "$where: $name"))

    fun <T> onlyOrNull(name: String, read: (JsonFields) -> T): T? = value(name)?.let { only(name, read) }

    /** All members of an object whose names are data, each read by [read]. */
    fun <T> members(name: String, read: (JsonFields, String) -> T): Map<String, T> {
        val members = JsonFields(value(name), "$where: $name")
        return members.fields.keys.associate { it as String to read(members, it) }
    }

    /** One of the keys of [known], as what it stands for. */
    fun <T> oneOf(name: String, known: Map<String, T>): T {
        val spelled = string(name)
        return known[spelled] ?: wrong(name, "one of ${known.keys.joinToString()}, but \"$spelled\"")
    }

    fun value(name: String): Any? {
        asked.add(name)
        if (name !in fields) throw BundleException("$where has no $name; $EXPORT_AGAIN")
        return fields[name]
    }

    fun <T> wrong(name: String, kind: String): T = throw BundleException("$where: $name is not $kind; $EXPORT_AGAIN")

    /** Refuse fields that nobody asked for: a reader that passes over them may misread the rest. */
    fun finish() {
        val unknown = fields.keys.firstOrNull { it !in asked } ?: return
        throw BundleException("$where has an unknown field $unknown; $EXPORT_AGAIN, or update the app")
    }

    private inline fun <reified T> required(name: String, kind: String): T = value(name) as? T ?: wrong(name, kind)

    private fun whole(value: Any?, name: String, least: Int): Int {
        val whole = value as? Long ?: wrong(name, "whole")
        if (whole < least || whole > Int.MAX_VALUE) wrong<Int>(name, "$least or more")
        return whole.toInt()
    }

    internal companion object {
        const val EXPORT_AGAIN = "copy or export the bundle again"
    }
}
