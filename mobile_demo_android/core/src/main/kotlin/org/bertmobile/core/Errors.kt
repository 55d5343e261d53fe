package org.bertmobile.core

/** Base of all errors raised on purpose: one line naming the cause and the remedy. */
open class BertMobileException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** A bundle is damaged, unverified or unreadable. */
class BundleException(message: String, cause: Throwable? = null) : BertMobileException(message, cause)

/** An argument or a text is wrong. */
class UsageException(message: String) : BertMobileException(message)

/** The library that runs models is missing, fails, or has no memory left. */
class EngineException(message: String, cause: Throwable? = null) : BertMobileException(message, cause)

/**
 * A number that counts something there has to be one of.
 *
 * @throws UsageException it is less than 1.
 */
fun atLeastOne(name: String, value: Int): Int {
    if (value < 1) throw UsageException("$name must be 1 or more, not $value")
    return value
}
